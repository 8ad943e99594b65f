import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { spawn } from "node:child_process";
import { chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import type { Consistency } from "../../src/questions.js";
import { DATABASE_URL, type Running, call, compiled, post, start } from "./harness.js";

describe("the questions of a recovery drill", () => {
  let running: Running | undefined;
  let file = "";
  beforeEach(async () => {
    await running?.stop();
    running = await start({ HEARTBEAT_SECONDS: "1" });
    const made = await call(`${running.base}/api/uploads`, { method: "POST", body: randomBytes(5_000) });
    file = join(running.uploads, String(made.body.sha256));
  });
  after(() => running?.stop());

  async function ask(): Promise<Consistency> {
    return (await call<Consistency>(`${running?.base ?? ""}/api/consistency`)).body;
  }
  function refused(result: Consistency): string[] {
    return result.questions.filter((one) => !one.ok).map((one) => one.name);
  }

  it("are all answered with yes while nothing is wrong", async () => {
    await post(`${running?.base ?? ""}/api/sessions`, { email: "ada@example.org" });
    const result = await ask();
    assert.deepEqual(refused(result), []);
    assert.ok(result.ok);
    assert.equal(result.facts.uploads, 1);
    assert.ok(Date.now() - Date.parse(String(result.facts.newestHeartbeat)) < 60_000);
  });

  it("name a row whose file is gone", async () => {
    await rm(file);
    const result = await ask();
    assert.ok(!result.ok);
    assert.deepEqual(refused(result), ["every upload has its file"]);
    // The row is all that is left of it: put an empty file there, so that the harness takes the row away too.
    await writeFile(file, "");
  });

  it("see one changed byte", async () => {
    const content = randomBytes(5_000);
    await chmod(file, 0o640);
    await writeFile(file, content);
    assert.deepEqual(refused(await ask()), ["every file is what its name says"]);
  });

  it("see a file that was cut off", async () => {
    await chmod(file, 0o640);
    await writeFile(file, "short");
    assert.deepEqual(refused(await ask()), [
      "every upload has the size its row says",
      "every file is what its name says",
    ]);
  });

  it("are not troubled by a file whose row is yet to come", async () => {
    await writeFile(
      join(running?.uploads ?? "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      "",
    );
    assert.deepEqual(refused(await ask()), []);
  });

  it("can be asked from the command line, without Redis, and end with 1 for a no", async () => {
    assert.equal(await ended({ DATABASE_URL, UPLOADS_DIR: running?.uploads ?? "", REDIS_URL: "" }), 0);
    await rm(file);
    assert.equal(await ended({ DATABASE_URL, UPLOADS_DIR: running?.uploads ?? "", REDIS_URL: "" }), 1);
    await writeFile(file, "");
  });

  it("end with 2 when they cannot be asked", async () => {
    const nowhere = "postgresql://u:p@/creditai?host=/nowhere";
    assert.equal(
      await ended({ DATABASE_URL: nowhere, UPLOADS_DIR: running?.uploads ?? "", REDIS_URL: "" }),
      2,
    );
  });
});

function ended(environment: Record<string, string>): Promise<number | null> {
  const child = spawn(process.execPath, [compiled("consistency")], {
    env: { ...process.env, ...environment },
    stdio: "ignore",
  });
  return new Promise((resolve) => child.once("exit", resolve));
}
