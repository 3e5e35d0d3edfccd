/* A stand-in for NVIDIA's libnvidia-ml.so.1 that the real nvidia-ml-py loads.

   The file named by NVML_STANDIN says what it has; it is read again at every call, so that a test can change a running
   mole's GPUs. One fact a line, the first that fits counts:

     gpu 0 name NVIDIA H100 80GB HBM3      any bytes
     gpu 0 uuid GPU-66667c2e-...
     gpu 0 total 85520809984               bytes; so are used and reserved
     gpu 0 util 98                         percent; so is memory_util
     gpu 0 temperature 61                  degrees Celsius
     gpu 0 power 412000                    milliwatts
     gpu 0 compute 4711 2147483648         a process and its bytes; also graphics, mps; - = not known
     fail nvmlInitWithFlags 9              the call gives this error, on every GPU
     gpu 3 fail * 15                       every call on GPU 3 gives this error
     gpu 3 fail nvmlDeviceGetName 999      one call on one GPU
     delay nvmlDeviceGetCount_v2 5         the call takes 5 s, or until this line is gone
     crash nvmlDeviceGetName               the call crashes the process
     print nvmlDeviceGetName               the call writes a line to stdout

   The number of GPUs is that of the names. A value without a line is "not supported". To take a function away, compile
   with -D<function>=absent. */

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7 };
enum { LINE = 512, MOST_GPUS = 64 };
static const unsigned long long NOT_AVAILABLE = ~0ULL;

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } Process;

/* ---- the scenario ---- */

/* The rest of the nth line that starts with `key` and a blank; 0 when there is none. */
static int find_line(const char *key, int nth, char *rest) {
    const char *path = getenv("NVML_STANDIN");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[LINE];
    size_t length = strlen(key);
    int found = 0;
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        int fits = strncmp(line, key, length) == 0 && (line[length] == ' ' || line[length] == 0);
        if (fits && nth-- == 0) {
            strcpy(rest, line[length] ? line + length + 1 : "");
            found = 1;
        }
    }
    if (file) fclose(file);
    return found;
}

/* The rest of the first line whose start is the format's text. */
static int find(char *rest, const char *format, ...) {
    char key[LINE];
    va_list values;
    va_start(values, format);
    vsnprintf(key, sizeof key, format, values);
    va_end(values);
    return find_line(key, 0, rest);
}

/* What a call does before its own work: be slow, crash or fail. gpu -1 = a call that is of no GPU. */
static int before(const char *function, int gpu) {
    char rest[LINE];
    for (int waited_ms = 0; find(rest, "delay %s", function) && waited_ms < 1000 * atof(rest); waited_ms += 10)
        usleep(10000);
    if (find(rest, "crash %s", function)) raise(SIGSEGV);
    if (find(rest, "print %s", function)) printf("a line of the library's own\n"), fflush(stdout);
    if (find(rest, "fail %s", function)) return atoi(rest);
    if (gpu >= 0 && find(rest, "gpu %d fail *", gpu)) return atoi(rest);
    if (gpu >= 0 && find(rest, "gpu %d fail %s", gpu, function)) return atoi(rest);
    return SUCCESS;
}

#define BEFORE(gpu) do { int error = before(__func__, gpu); if (error) return error; } while (0)

static int index_of(void *device) { return (int)((long)device - 1); }

static int number(void *device, const char *name, unsigned long long *value) {
    char rest[LINE];
    if (!find(rest, "gpu %d %s", index_of(device), name)) return NOT_SUPPORTED;
    *value = strtoull(rest, NULL, 10);
    return SUCCESS;
}

static int small_number(void *device, const char *name, unsigned *value) {
    unsigned long long wide = 0;
    int error = number(device, name, &wide);
    *value = (unsigned)wide;
    return error;
}

static int text(void *device, const char *name, char *buffer, unsigned size) {
    char rest[LINE];
    if (!find(rest, "gpu %d %s", index_of(device), name)) return NOT_SUPPORTED;
    snprintf(buffer, size, "%s", rest);
    return SUCCESS;
}

/* ---- the library ---- */

int nvmlInitWithFlags(unsigned flags) { (void)flags; BEFORE(-1); return SUCCESS; }
int nvmlInit_v2(void) { BEFORE(-1); return SUCCESS; }

/* Leaves a trace beside the scenario, by which a test sees an orderly end. */
int nvmlShutdown(void) {
    char path[4096];
    snprintf(path, sizeof path, "%s.shutdown", getenv("NVML_STANDIN"));
    FILE *file = fopen(path, "w");
    if (file) fclose(file);
    return SUCCESS;
}

const char *nvmlErrorString(int error) { (void)error; return "an error of the stand-in"; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    char rest[LINE];
    BEFORE(-1);
    for (*count = 0; *count < MOST_GPUS && find(rest, "gpu %u name", *count); ++*count) {}
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    char rest[LINE];
    BEFORE((int)index);
    if (!find(rest, "gpu %u name", index)) return INVALID_ARGUMENT;
    *device = (void *)(long)(index + 1);
    return SUCCESS;
}

int nvmlDeviceGetName(void *device, char *buffer, unsigned size) {
    BEFORE(index_of(device));
    return text(device, "name", buffer, size);
}

int nvmlDeviceGetUUID(void *device, char *buffer, unsigned size) {
    BEFORE(index_of(device));
    return text(device, "uuid", buffer, size);
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
    BEFORE(index_of(device));
    int error = small_number(device, "util", &utilization->gpu);
    return error ? error : small_number(device, "memory_util", &utilization->memory);
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *degrees) {
    (void)sensor;
    BEFORE(index_of(device));
    return small_number(device, "temperature", degrees);
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
    BEFORE(index_of(device));
    return small_number(device, "power", milliwatts);
}

static int processes(void *device, const char *kind, unsigned *count, Process *list) {
    char key[LINE], rest[LINE], memory[LINE];
    unsigned found = 0;
    snprintf(key, sizeof key, "gpu %d %s", index_of(device), kind);
    for (; find_line(key, (int)found, rest); ++found) {
        if (!list || found >= *count) continue;
        Process *process = &list[found];
        sscanf(rest, "%u %s", &process->pid, memory);
        process->memory = memory[0] == '-' ? NOT_AVAILABLE : strtoull(memory, NULL, 10);
        process->gpu_instance = process->compute_instance = (unsigned)-1;
    }
    int error = found > *count ? INSUFFICIENT_SIZE : SUCCESS;
    *count = found;
    return error;
}

#define PROCESSES(function, kind)                                       \
    int function(void *device, unsigned *count, Process *list) {        \
        BEFORE(index_of(device));                                       \
        return processes(device, kind, count, list);                    \
    }

PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, "compute")
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2, "compute")
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics")
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2, "graphics")
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps")
