// node ws.mjs PORT: the library ws, one send for each client; items are POSTed to the same port.
import http from "node:http";
import { WebSocketServer } from "ws";

const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const item = Buffer.concat(parts);
    for (const client of viewers.clients) client.send(item, { binary: false });
    response.writeHead(201, { "Content-Length": 2 }).end("{}");
  });
});
const viewers = new WebSocketServer({ server, perMessageDeflate: false });
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
