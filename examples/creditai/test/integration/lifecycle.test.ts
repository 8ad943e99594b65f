import assert from "node:assert/strict";
import { request } from "node:http";
import { Readable } from "node:stream";
import { after, before, beforeEach, describe, it } from "node:test";
import {
  DISPUTE,
  Listener,
  type Process,
  call,
  forgetUploads,
  newKey,
  post,
  startProcess,
  uploadsFolder,
} from "./harness.js";

describe("the process", () => {
  let uploads: string;
  let running: Process;
  before(async () => {
    uploads = await uploadsFolder();
  });
  beforeEach(async () => {
    running = await startProcess(uploads);
  });
  after(() => forgetUploads(uploads));

  async function terminated(): Promise<number> {
    const started = Date.now();
    running.child.kill("SIGTERM");
    assert.equal(await running.exit, 0);
    return Date.now() - started;
  }

  /** An upload that is under way until `finish` is called. */
  function slowUpload(): { answer: Promise<number>; finish: () => void } {
    const body = new Readable({ read: () => undefined });
    const answer = new Promise<number>((resolve, reject) => {
      const sending = request(`${running.base}/api/uploads`, { method: "POST" }, (response) => {
        response.resume();
        response.on("end", () => {
          resolve(response.statusCode ?? 0);
        });
      });
      sending.on("error", reject);
      body.pipe(sending);
    });
    body.push("first half");
    return {
      answer,
      finish: () => {
        body.push(`second half ${Date.now()}`);
        body.push(null);
      },
    };
  }

  it("finishes what is in flight on SIGTERM, says goodbye with 1001 and takes nothing new", async () => {
    const listener = await Listener.connect(running.base);
    const slow = slowUpload();
    await call(`${running.base}/api/health/live`); // later on the wire than the upload's first half
    const stopped = terminated();
    assert.equal(await listener.closed, 1001);
    await assert.rejects(fetch(`${running.base}/api/health/live`, { headers: { connection: "close" } }));
    slow.finish();
    assert.equal(await slow.answer, 201);
    assert.ok((await stopped) < 10_000);
  });

  it("is gone at once when nothing is in flight, idle connections or not", async () => {
    await call(`${running.base}/api/health/ready`);
    assert.ok((await terminated()) < 2_000);
  });

  it("sends WebSockets elsewhere on SIGUSR2, serves on, and takes them again on SIGHUP", async () => {
    const listener = await Listener.connect(running.base);
    running.child.kill("SIGUSR2");
    assert.equal(await listener.closed, 1012);
    await assert.rejects(Listener.connect(running.base), /503/);
    assert.equal((await call(`${running.base}/api/health/ready`)).status, 200);
    assert.equal((await post(`${running.base}/api/disputes`, DISPUTE, newKey())).status, 201);

    running.child.kill("SIGHUP");
    const again = await reconnected();
    assert.equal((await again.next()).type, "hello");
    await terminated();
    assert.equal(await again.closed, 1001);
  });

  /** The signal arrives when it arrives: ask until the door is open, five seconds at most. */
  async function reconnected(): Promise<Listener> {
    const deadline = Date.now() + 5_000;
    for (;;) {
      try {
        return await Listener.connect(running.base);
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    }
  }
});
