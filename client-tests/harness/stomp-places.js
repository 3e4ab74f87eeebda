// Where STOMP is served: by one node, or by three behind an nginx that sends each request to the next.

import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startNginx } from './nginx.js';
import { startRedis } from './redis.js';
import { startSockhop } from './sockhop.js';

/** One node, in memory. */
export async function startOneNode(life) {
  const secret = life.add(await Secret.make());
  const server = life.add(await startSockhop({ args: secret.args }));
  return new StompPlace('one node', server.url, secret);
}

/** Three nodes over one Redis; requests of one client go to each in turn. */
export async function startThreeNodes(life) {
  const secret = life.add(await Secret.make());
  const redis = life.add(await startRedis());
  const args = [...secret.args, '--store', redis.url, '--request-id-header', 'x-request-id'];
  const nodes = [];
  for (let node = 0; node < 3; node += 1) nodes.push(life.add(await startSockhop({ args })));
  const nginx = life.add(await startNginx((listen) => balancer(listen, nodes)));
  return new StompPlace('three nodes behind nginx', nginx.url, secret);
}

class StompPlace {
  #secret;

  constructor(name, url, secret) {
    this.name = name;
    this.url = `${url}/ws`;
    this.#secret = secret;
  }

  /** Headers of a CONNECT that shows a user; further claims replace what is usual. */
  credentials(user, claims) {
    return this.#secret.credentials(user, claims);
  }
}

/** What signs tokens, in a file that servers read. */
export class Secret {
  #secret = randomBytes(32).toString('hex');
  #directory;

  static async make() {
    const secret = new Secret();
    secret.#directory = await mkdtemp(join(tmpdir(), 'sockhop-jwt-'));
    const file = join(secret.#directory, 'secret');
    await writeFile(file, secret.#secret);
    secret.args = ['--service', '/ws=stomp', '--jwt-secret', file, '--anonymous'];
    return secret;
  }

  /** Headers of a CONNECT that shows a user for an hour; further claims replace what is usual. */
  credentials(user, claims = {}) {
    return { Authorization: `Bearer ${this.token({ sub: user, exp: now() + 3600, ...claims })}` };
  }

  token(claims) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
    return `${signed}.${createHmac('sha256', this.#secret).update(signed).digest('base64url')}`;
  }

  stop() {
    return rm(this.#directory, { recursive: true, force: true });
  }
}

function now() {
  return Math.floor(Date.now() / 1000);
}

/** An nginx that hands /ws to the nodes in turn; what else is asked for, to `rest`. */
export function balancer(listen, nodes, rest) {
  const servers = nodes.map(({ url }) => `server ${url.replace('http://', '')};`).join(' ');
  return `
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream nodes { ${servers} }
  server {
    listen ${listen};
    location /${rest ? 'ws' : ''} {
      proxy_pass http://nodes;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Request-Id $request_id;
      proxy_buffering off;
      proxy_read_timeout 60s;
    }
    ${rest ? `location / { proxy_pass ${rest}; }` : ''}
  }`;
}
