/** The container's own check: is the process alive? Whether it is ready is the load balancer's question. */
const port = process.env.PORT ?? "3000";

fetch(`http://127.0.0.1:${port}/api/health/live`, { signal: AbortSignal.timeout(2_000) }).then(
  (response) => {
    process.exitCode = response.ok ? 0 : 1;
  },
  () => {
    process.exitCode = 1;
  },
);
