/* A stand-in for NVIDIA's libnvidia-ml.so.1 that the real nvidia-ml-py loads.

   The file named by NVML_STANDIN says what it has; it is read again whenever it was replaced, so that a test can change
   a running mole's GPUs. One fact a line, the first that fits counts:

     gpu 0 name NVIDIA H100 80GB HBM3      any bytes
     gpu 0 util 98 10                      percent; of several numbers each call takes the next, round and round
     gpu 0 power 412000                    milliwatts; the other facts are named where a function below asks for them
     gpu 0 compute 4711 2147483648         a process and its bytes; also graphics, mps; - = not known
     gpu 64 name MIG 1g.10gb               64 + 8 * gpu + n is the nth MIG instance of a GPU whose mig_mode is 1
     driver 550.54.15                      of the host, as is cuda
     event 7 3 8 79                        the 7th event, on GPU 3, of type 8 (XID), with code 79; each is told once
     fail nvmlInitWithFlags 9              the call gives this error, on every GPU
     gpu 3 fail * 15                       every call on GPU 3 gives this error
     gpu 3 fail nvmlDeviceGetName 999      one call on one GPU
     delay nvmlDeviceGetCount_v2 5         the call takes 5 s, or until this line is gone
     crash nvmlDeviceGetName               the call crashes the process
     print nvmlDeviceGetName               the call writes a line to stdout
     trace                                 each call leaves its name and GPU in <scenario>.calls
     stale gpu 3 fail * 15                 a line that holds only for a library loaded before this file was written,
     fresh delay nvmlInitWithFlags 5       and one that holds only for a library loaded after it

   The number of GPUs is that of the names. A value without a line is "not supported". To take a function away, compile
   with -D<function>=absent. */

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMED_OUT = 10 };
enum { MOST_GPUS = 64, MOST_MIG = 8, SLOTS = MOST_GPUS * (1 + MOST_MIG), KEY = 128 };
static const unsigned long long NOT_AVAILABLE = ~0ULL;

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } Process;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } PciInfo;
typedef struct { void *device; unsigned long long type, data; unsigned gpu_instance, compute_instance; } Event;
typedef struct { unsigned version, supported; } GpmSupport;
typedef struct { void *device; int serial; } GpmSample;
typedef struct { unsigned id; int error; double value; char *names[3]; } GpmMetric;
typedef struct { unsigned version, count; GpmSample *older, *newer; GpmMetric metrics[]; } GpmMetrics;
typedef struct {
    unsigned id, scope;
    long long timestamp, latency;
    int type, error;
    unsigned long long value;
} Field;

/* ---- the scenario ---- */

/* Lines of one kind: facts of a GPU, its processes, or what is of no GPU. */
typedef struct { char **line; int count; } Lines;

static struct { struct stat file; char *text; Lines facts[SLOTS], processes[SLOTS], faults; } scenario;

static void add(Lines *lines, char *line) {
    if (lines->count % 64 == 0) lines->line = realloc(lines->line, (size_t)(lines->count + 64) * sizeof *lines->line);
    lines->line[lines->count++] = line;
}

static struct timespec loaded;

__attribute__((constructor)) static void note_loading(void) { clock_gettime(CLOCK_REALTIME_COARSE, &loaded); }

static int is_stale(void) {
    const struct timespec *written = &scenario.file.st_mtim;
    return written->tv_sec > loaded.tv_sec || (written->tv_sec == loaded.tv_sec && written->tv_nsec > loaded.tv_nsec);
}

static int starts(const char *line, const char *start) { return strncmp(line, start, strlen(start)) == 0; }

static void sort_in(char *line) {
    if (starts(line, "stale ") || starts(line, "fresh ")) {
        if (starts(line, "stale ") != is_stale()) return;
        line += strlen("stale ");
    }
    int gpu = -1, length = 0;
    if (sscanf(line, "gpu %d %n", &gpu, &length) < 1 || gpu < 0 || gpu >= SLOTS || starts(line + length, "fail ")) {
        if (*line) add(&scenario.faults, line);
        return;
    }
    char *fact = line + length;
    int process = starts(fact, "compute ") || starts(fact, "graphics ") || starts(fact, "mps ");
    add(process ? &scenario.processes[gpu] : &scenario.facts[gpu], fact);
}

/* Read the file if it is another one than before. */
static void refresh(void) {
    const char *path = getenv("NVML_STANDIN");
    struct stat now;
    if (!path || stat(path, &now)) return;
    if (scenario.text && now.st_ino == scenario.file.st_ino && now.st_mtim.tv_nsec == scenario.file.st_mtim.tv_nsec &&
        now.st_mtim.tv_sec == scenario.file.st_mtim.tv_sec && now.st_size == scenario.file.st_size)
        return;
    FILE *file = fopen(path, "r");
    if (!file) return;
    fstat(fileno(file), &scenario.file);
    scenario.text = realloc(scenario.text, (size_t)scenario.file.st_size + 1);
    scenario.text[fread(scenario.text, 1, (size_t)scenario.file.st_size, file)] = 0;
    fclose(file);
    for (int slot = 0; slot < SLOTS; ++slot) scenario.facts[slot].count = scenario.processes[slot].count = 0;
    scenario.faults.count = 0;
    for (char *line = scenario.text, *end; *line; line = end) {
        end = line + strcspn(line, "\n");
        if (*end) *end++ = 0;
        sort_in(line);
    }
}

/* The rest of the first line that starts with the key and a blank; NULL when there is none. */
static const char *find(const Lines *lines, const char *key) {
    size_t length = strlen(key);
    for (int place = 0; place < lines->count; ++place) {
        const char *line = lines->line[place];
        if (strncmp(line, key, length)) continue;
        if (line[length] == ' ') return line + length + 1;
        if (line[length] == 0) return line + length;
    }
    return NULL;
}

static const char *find_fault(const char *format, ...) {
    char key[KEY];
    if (!scenario.faults.count) return NULL;
    va_list values;
    va_start(values, format);
    vsnprintf(key, sizeof key, format, values);
    va_end(values);
    return find(&scenario.faults, key);
}

static FILE *open_beside(const char *suffix, const char *mode) {
    char path[4096];
    snprintf(path, sizeof path, "%s.%s", getenv("NVML_STANDIN"), suffix);
    return fopen(path, mode);
}

static void trace(const char *function, int gpu) {
    FILE *calls = open_beside("calls", "a");
    if (!calls) return;
    fprintf(calls, "%s %d\n", function, gpu);
    fclose(calls);
}

/* What a call does before its own work: be slow, crash or fail. gpu -1 = a call that is of no GPU. */
static int before(const char *function, int gpu) {
    const char *rest;
    refresh();
    if (find_fault("trace")) trace(function, gpu);
    for (int waited_ms = 0; (rest = find_fault("delay %s", function)) && waited_ms < 1000 * atof(rest); waited_ms += 10) {
        usleep(10000);
        refresh();
    }
    if (find_fault("crash %s", function)) raise(SIGSEGV);
    if (find_fault("print %s", function)) printf("a line of the library's own\n"), fflush(stdout);
    if ((rest = find_fault("fail %s", function))) return atoi(rest);
    if (gpu >= 0 && (rest = find_fault("gpu %d fail *", gpu))) return atoi(rest);
    if (gpu >= 0 && (rest = find_fault("gpu %d fail %s", gpu, function))) return atoi(rest);
    return SUCCESS;
}

#define BEFORE(gpu) do { int error = before(__func__, gpu); if (error) return error; } while (0)

static int index_of(void *device) { return (int)((long)device - 1); }
static void *device_of(int index) { return (void *)(long)(index + 1); }

/* The nth number of the fact, from the first again after the last. */
static int nth_number(void *device, const char *name, int nth, unsigned long long *value) {
    const char *fact = find(&scenario.facts[index_of(device)], name);
    if (!fact) return NOT_SUPPORTED;
    int count = 1;
    for (const char *blank = fact; (blank = strchr(blank, ' ')); ++blank) ++count;
    for (nth %= count; nth > 0; --nth) fact = strchr(fact, ' ') + 1;
    *value = strtoull(fact, NULL, 10);
    return SUCCESS;
}

static int number(void *device, const char *name, unsigned long long *value) {
    return nth_number(device, name, 0, value);
}

static int small_number(void *device, const char *name, int nth, unsigned *value) {
    unsigned long long wide = 0;
    int error = nth_number(device, name, nth, &wide);
    if (!error) *value = (unsigned)wide;
    return error;
}

static int text(const Lines *lines, const char *name, char *buffer, unsigned size) {
    const char *fact = find(lines, name);
    if (!fact) return NOT_SUPPORTED;
    snprintf(buffer, size, "%s", fact);
    return SUCCESS;
}

/* ---- the library ---- */

int nvmlInitWithFlags(unsigned flags) { (void)flags; BEFORE(-1); return SUCCESS; }
int nvmlInit_v2(void) { BEFORE(-1); return SUCCESS; }

static int samples; /* of GPM, that were not freed */

/* Leaves a trace beside the scenario, by which a test sees an orderly end. */
int nvmlShutdown(void) {
    FILE *file = open_beside("shutdown", "w");
    if (file) fprintf(file, "%d", samples), fclose(file);
    return SUCCESS;
}

const char *nvmlErrorString(int error) { (void)error; return "an error of the stand-in"; }

int nvmlSystemGetDriverVersion(char *buffer, unsigned size) {
    BEFORE(-1);
    return text(&scenario.faults, "driver", buffer, size);
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    BEFORE(-1);
    const char *fact = find_fault("cuda");
    if (fact) *version = atoi(fact);
    return fact ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    BEFORE(-1);
    for (*count = 0; *count < MOST_GPUS && find(&scenario.facts[*count], "name"); ++*count) {}
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    BEFORE((int)index);
    if (index >= MOST_GPUS || !find(&scenario.facts[index], "name")) return INVALID_ARGUMENT;
    *device = device_of((int)index);
    return SUCCESS;
}

#define TEXT(function, name)                                               \
    int function(void *device, char *buffer, unsigned size) {              \
        BEFORE(index_of(device));                                          \
        return text(&scenario.facts[index_of(device)], name, buffer, size); \
    }

TEXT(nvmlDeviceGetName, "name")
TEXT(nvmlDeviceGetUUID, "uuid")
TEXT(nvmlDeviceGetVbiosVersion, "vbios")

int nvmlDeviceGetPciInfo_v3(void *device, PciInfo *info) {
    BEFORE(index_of(device));
    int error = text(&scenario.facts[index_of(device)], "pci", info->bus_id, sizeof info->bus_id);
    if (!error) sscanf(info->bus_id, "%x:%x:%x", &info->domain, &info->bus, &info->device);
    return error;
}

/* As the real one: version 1 counts what is reserved within `used`, version 2 beside it. */
int nvmlDeviceGetMemoryInfo_v2(void *device, MemoryV2 *memory) {
    BEFORE(index_of(device));
    int error = number(device, "total", &memory->total);
    if (error) return error;
    number(device, "used", &memory->used);
    number(device, "reserved", &memory->reserved);
    memory->free = memory->total - memory->used - memory->reserved;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(void *device, Memory *memory) {
    unsigned long long reserved = 0;
    BEFORE(index_of(device));
    int error = number(device, "total", &memory->total);
    if (error) return error;
    number(device, "used", &memory->used);
    number(device, "reserved", &reserved);
    memory->used += reserved;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(void *device, Utilization *utilization) {
    static int calls[SLOTS];
    BEFORE(index_of(device));
    int nth = calls[index_of(device)]++;
    int error = small_number(device, "util", nth, &utilization->gpu);
    return error ? error : small_number(device, "memory_util", nth, &utilization->memory);
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *degrees) {
    (void)sensor;
    BEFORE(index_of(device));
    return small_number(device, "temperature", 0, degrees);
}

/* shutdown, slowdown, the memory's most, the core's most */
int nvmlDeviceGetTemperatureThreshold(void *device, unsigned kind, unsigned *degrees) {
    BEFORE(index_of(device));
    return small_number(device, "thresholds", (int)kind, degrees);
}

#define SMALL_NUMBER(function, name)                   \
    int function(void *device, unsigned *value) {      \
        BEFORE(index_of(device));                      \
        return small_number(device, name, 0, value);   \
    }

SMALL_NUMBER(nvmlDeviceGetPowerUsage, "power")
SMALL_NUMBER(nvmlDeviceGetEnforcedPowerLimit, "power_limit")
SMALL_NUMBER(nvmlDeviceGetFanSpeed, "fan")
SMALL_NUMBER(nvmlDeviceGetPersistenceMode, "persistence")
SMALL_NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_gen")
SMALL_NUMBER(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width")
SMALL_NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_max_gen")
SMALL_NUMBER(nvmlDeviceGetMaxPcieLinkWidth, "pcie_max_width")

#define NUMBER(function, name)                              \
    int function(void *device, unsigned long long *value) { \
        BEFORE(index_of(device));                           \
        return number(device, name, value);                 \
    }

NUMBER(nvmlDeviceGetTotalEnergyConsumption, "energy")
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, "throttle")
NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, "throttle")
NUMBER(nvmlDeviceGetSupportedEventTypes, "event_types")

#define CODEC(function, name)                                         \
    int function(void *device, unsigned *percent, unsigned *period) { \
        BEFORE(index_of(device));                                     \
        *period = 167000;                                             \
        return small_number(device, name, 0, percent);                \
    }

CODEC(nvmlDeviceGetEncoderUtilization, "encoder")
CODEC(nvmlDeviceGetDecoderUtilization, "decoder")

/* The fact has the SM's clock and the memory's. */
int nvmlDeviceGetClockInfo(void *device, unsigned kind, unsigned *mhz) {
    BEFORE(index_of(device));
    return small_number(device, "clocks", (int)kind - 1, mhz);
}

/* corrected and uncorrected since the driver was loaded, then both since ever */
int nvmlDeviceGetTotalEccErrors(void *device, int kind, int counter, unsigned long long *count) {
    BEFORE(index_of(device));
    return nth_number(device, "ecc", 2 * counter + kind, count);
}

int nvmlDeviceGetRemappedRows(void *device, unsigned *correctable, unsigned *uncorrectable, unsigned *pending,
                              unsigned *failure) {
    unsigned *values[] = {correctable, uncorrectable, pending, failure};
    int error = SUCCESS;
    BEFORE(index_of(device));
    for (int nth = 0; nth < 4 && !error; ++nth) error = small_number(device, "remapped", nth, values[nth]);
    return error;
}

/* The fact has how many links there are and how many of them are active. */
int nvmlDeviceGetNvLinkState(void *device, unsigned link, unsigned *active) {
    unsigned links = 0;
    BEFORE(index_of(device));
    int error = small_number(device, "nvlink", 0, &links);
    if (error || link >= links) return error ? error : INVALID_ARGUMENT;
    small_number(device, "nvlink", 1, active);
    *active = link < *active;
    return SUCCESS;
}

int nvmlDeviceGetFieldValues(void *device, int count, Field *fields) {
    char name[KEY];
    BEFORE(index_of(device));
    for (int place = 0; place < count; ++place) {
        snprintf(name, sizeof name, "field_%u", fields[place].id);
        fields[place].error = number(device, name, &fields[place].value);
        int is_small = fields[place].id == 82 || fields[place].id == 230; /* memory's temperature, recovery action */
        fields[place].type = is_small ? 1 : 3; /* unsigned int, unsigned long long */
        if (is_small) fields[place].value |= 0xABCDULL << 32; /* what is beyond the int means nothing */
    }
    return SUCCESS;
}

/* ---- GPM: the fact gpm_<metric> is its value in any time that ends with the newer sample ---- */

int nvmlGpmQueryDeviceSupport(void *device, GpmSupport *support) {
    BEFORE(index_of(device));
    support->supported = 0;
    small_number(device, "gpm", 0, &support->supported);
    return SUCCESS;
}

int nvmlGpmSampleAlloc(GpmSample **sample) {
    BEFORE(-1);
    *sample = calloc(1, sizeof **sample);
    ++samples;
    return SUCCESS;
}

int nvmlGpmSampleFree(GpmSample *sample) {
    BEFORE(-1);
    free(sample);
    --samples;
    return SUCCESS;
}

int nvmlGpmSampleGet(void *device, GpmSample *sample) {
    static int serial;
    BEFORE(index_of(device));
    *sample = (GpmSample){device, ++serial};
    return SUCCESS;
}

/* As the real one: an empty sample and one with itself are refused, and the older one as the newer gives nonsense. */
int nvmlGpmMetricsGet(GpmMetrics *asked) {
    char name[KEY];
    const GpmSample *older = asked->older, *newer = asked->newer;
    BEFORE(-1);
    if (!older->serial || !newer->serial || older == newer || older->device != newer->device) return INVALID_ARGUMENT;
    for (unsigned place = 0; place < asked->count; ++place) {
        GpmMetric *metric = &asked->metrics[place];
        snprintf(name, sizeof name, "gpm_%u", metric->id);
        const char *fact = find(&scenario.facts[index_of(newer->device)], name);
        metric->error = fact ? SUCCESS : NOT_SUPPORTED;
        if (fact) metric->value = older->serial < newer->serial ? strtod(fact, NULL) : -4611488425371337.0;
    }
    return SUCCESS;
}

/* ---- MIG ---- */

int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
    BEFORE(index_of(device));
    *pending = 0;
    return small_number(device, "mig_mode", 0, current);
}

int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count) {
    BEFORE(index_of(device));
    *count = MOST_MIG - 1;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **instance) {
    BEFORE(index_of(device));
    int slot = MOST_GPUS + MOST_MIG * index_of(device) + (int)index;
    if (!find(&scenario.facts[slot], "name")) return NOT_FOUND;
    *instance = device_of(slot);
    return SUCCESS;
}

/* ---- processes ---- */

static int processes(void *device, const char *kind, unsigned *count, Process *list) {
    const Lines *lines = &scenario.processes[index_of(device)];
    unsigned found = 0;
    for (int place = 0; place < lines->count; ++place) {
        if (!starts(lines->line[place], kind)) continue;
        if (list && found < *count) {
            Process *process = &list[found];
            char *memory = NULL;
            process->pid = (unsigned)strtoul(lines->line[place] + strlen(kind), &memory, 10);
            process->memory = strchr(memory, '-') ? NOT_AVAILABLE : strtoull(memory, NULL, 10);
            process->gpu_instance = process->compute_instance = (unsigned)-1;
        }
        ++found;
    }
    int error = found > *count ? INSUFFICIENT_SIZE : SUCCESS;
    *count = found;
    return error;
}

#define PROCESSES(function, kind)                                \
    int function(void *device, unsigned *count, Process *list) { \
        BEFORE(index_of(device));                                \
        return processes(device, kind " ", count, list);         \
    }

PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, "compute")
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2, "compute")
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics")
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2, "graphics")
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps")

/* ---- events: of the types that were registered for their GPU, each once ---- */

static unsigned long long registered[MOST_GPUS];
static int told;

int nvmlEventSetCreate(void **set) { BEFORE(-1); *set = registered; return SUCCESS; }
int nvmlEventSetFree(void *set) { (void)set; BEFORE(-1); return SUCCESS; }

int nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set) {
    (void)set;
    BEFORE(index_of(device));
    registered[index_of(device)] = types;
    return SUCCESS;
}

int nvmlEventSetWait_v2(void *set, Event *event, unsigned timeout_ms) {
    (void)set, (void)timeout_ms;
    BEFORE(-1);
    for (int place = 0; place < scenario.faults.count; ++place) {
        int serial, gpu;
        unsigned long long type, data;
        if (sscanf(scenario.faults.line[place], "event %d %d %llu %llu", &serial, &gpu, &type, &data) != 4) continue;
        if (serial <= told || !(registered[gpu] & type)) continue;
        told = serial;
        *event = (Event){device_of(gpu), type, data, ~0U, ~0U};
        return SUCCESS;
    }
    return TIMED_OUT;
}
