import { pino } from "pino";
import { readBuild } from "./build.js";
import { readConfig } from "./config.js";
import { startService } from "./service.js";

const build = readBuild();
const config = readConfig(process.env);
const log = pino({
  level: config.logLevel,
  base: { service: "creditai", version: build.version, instance: config.instance },
  timestamp: pino.stdTimeFunctions.isoTime,
  formatters: { level: (label) => ({ level: label }) },
});

if (build.fault !== "none") log.warn({ fault: build.fault }, "this build fails on purpose");
const service = await startService(config, build, log);
log.info({ port: service.port, node: process.version }, "listening");

process.on(config.drainSignal, () => {
  service.drain();
});
process.on(config.reopenSignal, () => {
  service.reopen();
});

let stopping = false;
function stop(signal: NodeJS.Signals): void {
  if (stopping) return;
  stopping = true;
  log.info({ signal }, "stopping");
  void service.stop().then((clean) => {
    log.info({ clean }, "stopped");
    process.exitCode = clean ? 0 : 1;
  });
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
