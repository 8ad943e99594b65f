import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { chmod, readFile, readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { DISPUTE, type Running, call, newKey, post, start } from "./harness.js";

describe("uploads", () => {
  let running: Running;
  let url: string;
  before(async () => {
    running = await start({ UPLOAD_LIMIT: "1000000" });
    url = `${running.base}/api/uploads`;
  });
  after(() => running.stop());

  function send(body: Buffer, headers: Record<string, string> = {}) {
    return call<{ sha256: string; name: string; size: number }>(url, { method: "POST", headers, body });
  }

  it("become a file named by what is in it, and come back byte for byte as a download", async () => {
    const content = randomBytes(300_000);
    const sha256 = createHash("sha256").update(content).digest("hex");
    const made = await send(content, { "X-File-Name": encodeURIComponent("Brief für Ada.pdf") });
    assert.deepEqual([made.status, made.body.sha256, made.body.name], [201, sha256, "Brief für Ada.pdf"]);
    assert.deepEqual(await readFile(join(running.uploads, sha256)), content);

    const back = await fetch(`${url}/${sha256}`);
    assert.deepEqual(Buffer.from(await back.arrayBuffer()), content);
    assert.match(back.headers.get("content-disposition") ?? "", /^attachment/);
  });

  it("are the same when the same is uploaded twice, at once too", async () => {
    const content = randomBytes(1_000);
    const answers = await Promise.all([send(content), send(content), send(content)]);
    assert.deepEqual(answers.map((one) => one.status).sort(), [200, 200, 201]);
    assert.equal(new Set(answers.map((one) => one.body.sha256)).size, 1);
  });

  it("can be the document of a dispute", async () => {
    const { body } = await send(randomBytes(10));
    const made = await post(`${running.base}/api/disputes`, { ...DISPUTE, document: body.sha256 }, newKey());
    assert.equal(made.body.document, body.sha256);
  });

  it("leave nothing behind when they are empty or too large", async () => {
    const before = await readdir(running.uploads);
    assert.equal((await send(Buffer.alloc(0))).status, 400);
    assert.equal((await send(Buffer.alloc(1_000_001))).status, 413);
    assert.deepEqual(await readdir(running.uploads), before);
  });

  it("have a name that is a label and never a path", async () => {
    const made = await send(randomBytes(10), { "X-File-Name": "..%2F..%2Fetc%2Fpasswd" });
    assert.equal(made.body.name, ".._.._etc_passwd");
    assert.equal((await fetch(`${url}/..%2F..%2Fetc%2Fpasswd`)).status, 404);
  });

  it("that a crash left half written go away at a start, an hour later", async () => {
    const [old, young] = [".incoming-old", ".incoming-young"].map((name) => join(running.uploads, name));
    assert.ok(old && young);
    for (const file of [old, young]) await writeFile(file, "half");
    await chmod(old, 0o440);
    await utimes(old, 1, 1);
    const other = await start({ UPLOADS_DIR: running.uploads });
    await other.stop();
    const left = (await readdir(running.uploads)).filter((name) => name.startsWith(".incoming-"));
    assert.deepEqual(left, [".incoming-young"]);
  });
});
