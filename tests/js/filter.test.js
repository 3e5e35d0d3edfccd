import assert from "node:assert/strict";
import { test } from "node:test";

import { hasWord, parseFilter, toggleWord, wordFor, wordsOf } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/filter.js";
import { GPU_WORDS, HOST_WORDS } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/states.js";
import { NOW_MS, free, gpu, hostOf, row } from "./fleet_of.js";

/** "no", "all" or the indices of the GPUs that are meant. @param {string} query @param {Parameters<typeof hostOf>[0]} each */
function meant(query, each) {
  const hit = parseFilter(query)(hostOf(each), NOW_MS);
  if (hit === null) return "no";
  return hit.gpus === null ? "all" : [...hit.gpus].map((one) => one.i).join(",");
}

const mixed = row("gpu07", {
  tags: ["rack-3", "Vision"],
  gpus: [
    gpu(0, { users: ["mira"], util: 93, mem: [61, 80] }),
    gpu(1, { is: "idle", users: ["chen"], util: 0, mem: [30, 80] }),
    free(2),
    gpu(3, { is: "lost", util: null, mem: null, users: [] }),
    gpu(4, { model: "NVIDIA A100", users: ["mira", "chen"], util: null, mem: [45, 80] }),
  ],
  notes: [{ kind: "nfs", level: "warn", text: "/home doesn't answer" }],
});

const CASES = {
  "": "all",
  "   ": "all",
  gpu0: "all",
  GPU07: "all",
  nowhere: "no",
  "rack-3": "all",
  vision: "all",
  h100: "all",
  nfs: "all",
  a100: "4",
  mira: "0,4",
  "mira chen": "4",
  "gpu07 chen": "1,4",
  free: "2",
  idle: "1",
  lost: "3",
  hung: "no",
  busy: "0,4",
  "free idle": "no",
  problems: "all",
  up: "all",
  offline: "no",
  "mem>40": "0,4",
  "mem>=45": "0,4",
  "mem<40": "1,2",
  "free mem>40": "2",
  "free mem>79.6": "no",
  "room>40": "1,2",
  "util<10": "1,2",
  "util>90 mira": "0",
  "cpu>30": "all",
  "cpu>50": "no",
  "disk>40": "all",
  "age<1": "no",
  "gpus>=5": "all",
  "-free": "0,1,3,4",
  "-hung": "all",
  "-mira": "1,2,3",
  "-gpu07": "no",
  "-offline": "all",
  "-up": "no",
  "-util>90": "1,2",
  "-nobody": "all",
  "user:mira": "0,4",
  "user:mir": "no",
  'user:"mira"': "0,4",
  "host:gpu": "all",
  "host:mira": "no",
  "tag:vision": "all",
  "tag:vis": "no",
  "model:a100": "4",
  "note:answer": "all",
  "constructor>1": "no",
  "constructor:x": "no",
  "mem>": "no",
  "-": "all",
};

for (const [query, expected] of Object.entries(CASES)) {
  test(`“${query}” means ${expected}`, () => assert.equal(meant(query, mixed), expected));
}

test("a host without a GPU is shown unless a word wants a GPU", () => {
  const login = row("login", { gpus: [], model: null });
  assert.equal(meant("login", login), "all");
  assert.equal(meant("free", login), "no");
  assert.equal(meant("-lost", login), "all");
});

test("what isn't known holds neither way", () => {
  const dark = row("dark", { cpu: null, gpus: [gpu(0, { util: null })] });
  for (const query of ["util>1", "util<1", "-util>1", "cpu>1", "cpu<1"]) assert.equal(meant(query, dark), "no", query);
});

test("last values of a silent host are no numbers of now", () => {
  const silent = row("gone", { is: "offline", gpus: [gpu(0, { is: "off", util: 90 })] });
  assert.equal(meant("util>10", silent), "no");
  assert.equal(meant("offline", silent), "all");
  assert.equal(meant("off", silent), "0");
  assert.equal(meant("mira", silent), "0");
});

test("quotes hold words together, and an open one does no harm", () => {
  assert.deepEqual(wordsOf('user:"a b" c "d e'), ["user:a b", "c", "d e"]);
  assert.deepEqual(wordsOf('""'), []);
});

test("a word is put in, found and taken out again", () => {
  const word = wordFor("user", "anna maria");
  const query = toggleWord("free", word);
  assert.equal(query, 'free user:"anna maria"');
  assert.ok(hasWord(query, word));
  assert.equal(toggleWord(query, word), "free");
});

test("a user with any name can be filtered for", () => {
  for (const user of ['a"b', "<script>", "-x", "mem>40", "free", "ä ö", "user:x", "a\u202eb"]) {
    const one = row("h", { gpus: [gpu(0, { users: [user] }), free(1)] });
    assert.equal(meant(wordFor("user", user), one), "0", user);
  }
});

test("each state is found by its own word and by the one that the page shows", () => {
  for (const [is, words] of Object.entries(GPU_WORDS)) {
    const host = row("a", { gpus: [gpu(0, { is: /** @type {import("./fleet_of.js").Gpu["is"]} */ (is) }), gpu(1, { is: is === "busy" ? "free" : "busy" })] });
    assert.equal(meant(is, host), "0", is);
    assert.equal(meant(`"${words}"`, host), "0", words);
  }
  const faulty = row("a", { notes: [{ kind: "gpu", level: "bad", text: "GPU 0 lost" }] });
  const taken = row("a", { notes: [{ kind: "conflict", level: "bad", text: "two machines" }] });
  const away = (/** @type {"stale" | "offline" | "silent"} */ is) => row("a", { is });
  const hosts = { up: row("a"), fault: faulty, conflict: taken, stale: away("stale"), offline: away("offline"), silent: away("silent") };
  for (const [word, host] of Object.entries(hosts)) {
    for (const asked of Object.keys(HOST_WORDS)) {
      const isUp = asked === "up" && ["fault", "conflict"].includes(word);
      assert.equal(meant(asked, host), asked === word || isUp ? "all" : "no", `${asked} of ${word}`);
    }
  }
});
