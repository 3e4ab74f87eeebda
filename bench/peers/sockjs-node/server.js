// sockjs-node with the two services that the scenarios need: /bench echoes, /fan sends each message to all.
// All options that matter for speed (response limit 128 KiB, heartbeat 25 s) are its defaults.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import sockjs from 'sockjs';

const { version } = createRequire(import.meta.url)('sockjs/package.json');

/** What a service logs: errors alone, as the other servers that are measured. */
function log(severity, line) {
  if (severity === 'error') console.error(line);
}

function echo() {
  const service = sockjs.createServer({ log });
  service.on('connection', (connection) => {
    connection.on('data', (message) => connection.write(message));
  });
  return service;
}

function broadcast() {
  const members = new Set();
  const service = sockjs.createServer({ log });
  service.on('connection', (connection) => {
    members.add(connection);
    connection.on('data', (message) => {
      for (const member of members) member.write(message);
    });
    connection.on('close', () => members.delete(connection));
  });
  return service;
}

const server = createServer();
echo().installHandlers(server, { prefix: '/bench' });
broadcast().installHandlers(server, { prefix: '/fan' });
server.listen(0, '127.0.0.1', () => {
  const name = `sockjs-node ${version} on Node ${process.version}`;
  console.log(`${name} listening on http://127.0.0.1:${server.address().port}/`);
});
