import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DISPUTE, type Running, call, newKey, post, start } from "./harness.js";

describe("sessions", () => {
  let running: Running;
  before(async () => {
    running = await start();
  });
  after(() => running.stop());

  async function signIn(email: string): Promise<{ Cookie: string; all: string }> {
    const answer = await post(`${running.base}/api/sessions`, { email });
    assert.equal(answer.status, 201);
    const all = answer.headers.get("set-cookie") ?? "";
    return { Cookie: all.split(";")[0] ?? "", all };
  }

  it("are carried by a cookie that scripts cannot read", async () => {
    const { Cookie, all } = await signIn("Bob@example.org");
    assert.match(all, /HttpOnly/);
    assert.match(all, /SameSite=Lax/);
    const current = await call(`${running.base}/api/sessions/current`, { headers: { Cookie } });
    assert.deepEqual(current.body, { email: "bob@example.org" });
  });

  it("say whose a dispute is, over what its body says", async () => {
    const { Cookie } = await signIn("carol@example.org");
    const made = await post(`${running.base}/api/disputes`, DISPUTE, { ...newKey(), Cookie });
    assert.equal(made.body.account, "carol@example.org");
  });

  it("outlive the instance that started them", async () => {
    const { Cookie } = await signIn("dan@example.org");
    const other = await start();
    const current = await call(`${other.base}/api/sessions/current`, { headers: { Cookie } });
    await other.stop();
    assert.equal(current.body.email, "dan@example.org");
  });

  it("end", async () => {
    const { Cookie } = await signIn("eve@example.org");
    const url = `${running.base}/api/sessions/current`;
    assert.equal((await call(url, { method: "DELETE", headers: { Cookie } })).status, 204);
    assert.deepEqual((await call(url, { headers: { Cookie } })).body, { email: null });
  });
});
