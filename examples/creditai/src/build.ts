import { readFileSync } from "node:fs";

/** What was decided when the image was built. No environment variable can change it. */
export interface Build {
  version: string;
  fault: "none" | "errors-after-switch";
}

const UNBUILT: Build = { version: "development", fault: "none" };

/** Read build.json beside the compiled files; a work tree has none. */
export function readBuild(file: URL = new URL("./build.json", import.meta.url)): Build {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return UNBUILT;
    throw error;
  }
  const build = JSON.parse(text) as Build;
  if (!build.version || !["none", "errors-after-switch"].includes(build.fault)) {
    throw new Error(`build.json does not do: ${text.trim()}`);
  }
  return build;
}
