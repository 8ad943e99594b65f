import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readConfig } from "../../src/config.js";

const ENOUGH = {
  DATABASE_URL: "postgresql://u:p@/creditai?host=/run/postgres",
  UPLOADS_DIR: "/data/uploads",
};

describe("the settings", () => {
  it("need a database and a folder, and have a default for the rest", () => {
    const config = readConfig(ENOUGH);
    assert.equal(config.port, 3000);
    assert.equal(config.redisUrl, undefined);
    assert.equal(config.drainSignal, "SIGUSR2");
    assert.ok(config.instance.length > 0);
  });

  it("name everything that is wrong at once", () => {
    assert.throws(
      () => readConfig({ PORT: "web", DRAIN_SIGNAL: "SIGKILL" }),
      (error: Error) =>
        [
          "PORT is not a number",
          "DRAIN_SIGNAL is not one of",
          "DATABASE_URL is not set",
          "UPLOADS_DIR is not set",
        ].every((part) => error.message.includes(part)),
    );
  });

  it("never repeat a value of a secret in the complaint", () => {
    assert.throws(
      () => readConfig({ DATABASE_URL: "postgresql://u:hunter2@/x", PORT: "-1", UPLOADS_DIR: "/data" }),
      (error: Error) => !error.message.includes("hunter2"),
    );
  });
});
