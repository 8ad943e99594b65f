import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DISPUTE, Listener, type Running, call, newKey, post, start } from "./harness.js";

describe("operations", () => {
  let running: Running;
  before(async () => {
    running = await start();
  });
  after(() => running.stop());

  it("tell live from ready", async () => {
    const away = await start({
      DATABASE_URL: "postgresql://u:p@/creditai?host=/nowhere",
      UPLOADS_DIR: running.uploads,
    });
    assert.equal((await call(`${away.base}/api/health/live`)).status, 200);
    const ready = await call<{ checks: Record<string, { ok: boolean }> }>(`${away.base}/api/health/ready`);
    assert.equal(ready.status, 503);
    assert.deepEqual([ready.body.checks.postgres?.ok, ready.body.checks.redis?.ok], [false, true]);
    const refused = await post(`${away.base}/api/disputes`, DISPUTE, newKey());
    assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"]);
    await away.stop();
  });

  it("say which version and which instance answers", async () => {
    const { body } = await call(`${running.base}/api/version`);
    assert.deepEqual(body, { version: "test", instance: "test", node: process.version });
  });

  it("count requests by route, failed ones too, never by path", async () => {
    await call(`${running.base}/api/disputes/00000000-0000-0000-0000-000000000000`);
    const text = await (await fetch(`${running.base}/metrics`)).text();
    assert.match(text, /http_request_duration_seconds_count\{[^}]*route="\/api\/disputes\/:id",status="404"/);
    assert.doesNotMatch(text, /00000000-0000/);
  });

  it("serve the page with a policy that allows no inline script", async () => {
    const page = await fetch(running.base);
    assert.match(page.headers.get("content-security-policy") ?? "", /default-src 'self'/);
    const html = await page.text();
    assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)|\son[a-z]+=|\sstyle=/);
  });
});

describe("notifications", () => {
  it("reach the clients of every instance", async () => {
    const [blue, green] = [await start({ INSTANCE: "blue" }), await start({ INSTANCE: "green" })];
    const listeners = [await Listener.connect(blue.base), await Listener.connect(green.base)];
    const greetings = await Promise.all(listeners.map((one) => one.next()));
    assert.deepEqual(
      greetings.map((one) => one.instance),
      ["blue", "green"],
    );
    const made = await post(`${blue.base}/api/disputes`, DISPUTE, newKey());
    for (const one of listeners)
      assert.deepEqual(await one.next(), { type: "dispute.created", dispute: made.body });
    await Promise.all([blue.stop(), green.stop()]);
    assert.deepEqual(await Promise.all(listeners.map((one) => one.closed)), [1001, 1001]);
  });

  it("stay within an instance that has no Redis", async () => {
    const alone = await start({ REDIS_URL: "" });
    const listener = await Listener.connect(alone.base);
    await listener.next();
    const made = await post(`${alone.base}/api/disputes`, DISPUTE, newKey());
    assert.deepEqual(await listener.next(), { type: "dispute.created", dispute: made.body });
    await alone.stop();
  });

  it("are not for pages of other sites", async () => {
    const running = await start();
    await assert.rejects(Listener.connect(running.base, { Origin: "https://evil.example" }), /403/);
    const same = await Listener.connect(running.base, { Origin: running.base });
    same.close();
    await running.stop();
  });
});
