// The smallest service that keeps the contract of a released one: health, version, WebSocket, drain door, clean end.
// FAULT makes a bad version: `health` is never healthy, `crash` ends at once, `traffic` fails under real requests.
const http = require("http");
const crypto = require("crypto");
const { VERSION, FAULT, PORT } = process.env;
const sockets = new Set();
if (FAULT === "crash") { console.error("no configuration"); process.exit(3); }

const server = http.createServer((request, response) => {
  const answer = (status, body) => { response.writeHead(status, { "content-type": "text/plain" }); response.end(body); };
  if (request.url === "/health") return FAULT === "health" ? answer(500, "sick") : answer(200, "ok");
  if (request.url === "/version") return answer(200, VERSION);
  if (FAULT === "traffic") return answer(500, "boom");
  let body = "";
  request.on("data", (part) => { body += part; });
  request.on("end", () => answer(200, `${VERSION} ${body}`));
});
server.keepAliveTimeout = 75000;
let draining = false;
server.on("upgrade", (request, socket) => {
  if (draining) return socket.end("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
  const accept = crypto.createHash("sha1")
    .update(request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  socket.write(Buffer.concat([Buffer.from([0x81, VERSION.length]), Buffer.from(VERSION)]));
  sockets.add(socket);
  socket.on("error", () => {});
  socket.on("close", () => sockets.delete(socket));
});
const closeWebSockets = (code) => {
  for (const socket of sockets) {
    socket.write(Buffer.from([0x88, 2, code >> 8, code & 255]));
    // The other side answers with its own close frame; ending before it would look like a broken connection.
    socket.once("data", () => socket.end());
    setTimeout(() => socket.destroy(), 1000).unref();
  }
};
process.on("SIGUSR2", () => { draining = true; closeWebSockets(1012); });
process.on("SIGHUP", () => { draining = false; });
process.on("SIGTERM", () => { closeWebSockets(1001); server.close(() => process.exit(0)); server.closeIdleConnections(); });
server.listen(Number(PORT));
