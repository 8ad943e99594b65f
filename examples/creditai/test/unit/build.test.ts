import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { readBuild } from "../../src/build.js";

function written(text: string): URL {
  const file = join(mkdtempSync(join(tmpdir(), "build-")), "build.json");
  writeFileSync(file, text);
  return pathToFileURL(file);
}

describe("what the build says", () => {
  it("is a development version without a fault where nothing was built", () => {
    const build = readBuild(new URL("file:///nowhere/build.json"));
    assert.deepEqual(build, { version: "development", fault: "none" });
  });

  it("is read from build.json", () => {
    const build = readBuild(written('{"version":"2.1.0","fault":"errors-after-switch"}'));
    assert.deepEqual(build, { version: "2.1.0", fault: "errors-after-switch" });
  });

  for (const text of [
    '{"version":"","fault":"none"}',
    '{"version":"1","fault":"often"}',
    '{"version":"1"}',
    "{",
  ]) {
    it(`is refused when it is ${text}`, () => {
      assert.throws(() => readBuild(written(text)));
    });
  }
});
