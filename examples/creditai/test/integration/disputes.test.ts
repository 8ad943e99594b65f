import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DISPUTE, type Running, call, newKey, post, start } from "./harness.js";

interface Dispute {
  id: string;
  account: string;
  amountCents: number;
}

describe("disputes", () => {
  let running: Running;
  let url: string;
  before(async () => {
    running = await start();
    url = `${running.base}/api/disputes`;
  });
  after(() => running.stop());

  it("are stored and found again", async () => {
    const made = await post<Dispute>(url, { ...DISPUTE, account: "Ada@Example.org" }, newKey());
    assert.equal(made.status, 201);
    assert.equal(made.body.account, "ada@example.org");
    const found = await call<Dispute>(running.base + (made.headers.get("location") ?? ""));
    assert.deepEqual(found.body, made.body);
  });

  it("are listed, newest first", async () => {
    const older = await post<Dispute>(url, DISPUTE, newKey());
    const newer = await post<Dispute>(url, DISPUTE, newKey());
    const list = await call<{ disputes: Dispute[] }>(`${url}?limit=2`);
    assert.deepEqual(
      list.body.disputes.map((one) => one.id),
      [newer.body.id, older.body.id],
    );
  });

  it("are stored once a key, and answered the same", async () => {
    const key = newKey();
    const first = await post(url, DISPUTE, key);
    const again = await post(url, DISPUTE, key);
    assert.deepEqual([again.status, again.body], [first.status, first.body]);
    assert.equal(first.headers.get("idempotency-replayed"), "false");
    assert.equal(again.headers.get("idempotency-replayed"), "true");
  });

  it("are stored once when the same request arrives twelve times at once", async () => {
    const key = newKey();
    const answers = await Promise.all(Array.from({ length: 12 }, () => post<Dispute>(url, DISPUTE, key)));
    assert.deepEqual([...new Set(answers.map((one) => one.status))], [201]);
    assert.equal(new Set(answers.map((one) => one.body.id)).size, 1);
    const fresh = answers.filter((one) => one.headers.get("idempotency-replayed") === "false");
    assert.equal(fresh.length, 1);
  });

  it("are refused when a key comes back with another content", async () => {
    const key = newKey();
    await post(url, DISPUTE, key);
    const other = await post(url, { ...DISPUTE, reason: "another" }, key);
    assert.equal(other.status, 422);
  });

  it("open an account once, however many first disputes arrive at once", async () => {
    const account = `${newKey()["Idempotency-Key"] ?? ""}@example.org`;
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => post(url, { ...DISPUTE, account }, newKey())),
    );
    assert.deepEqual([...new Set(answers.map((one) => one.status))], [201]);
  });

  it("are refused without a key, without an account, with a document that is not there, or unreadable", async () => {
    assert.equal((await post(url, DISPUTE)).status, 400);
    assert.equal((await post(url, { ...DISPUTE, account: "nobody" }, newKey())).status, 400);
    assert.equal((await post(url, { ...DISPUTE, document: "0".repeat(64) }, newKey())).status, 400);
    const headers = { "Content-Type": "application/json", ...newKey() };
    assert.equal((await call(url, { method: "POST", headers, body: "{" })).status, 400);
  });

  it("that are not there are 404, whatever the id looks like", async () => {
    assert.equal((await call(`${url}/00000000-0000-0000-0000-000000000000`)).status, 404);
    assert.equal((await call(`${url}/' OR 1=1`)).status, 404);
  });
});
