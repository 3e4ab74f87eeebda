// A real nginx in the foreground, on a free port, with all its files in a directory of its own.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from './child.js';
import { freePort } from './ports.js';

const NGINX = process.env.NGINX_BIN ?? 'nginx';
const ATTEMPTS = 5;
const READY = /start worker process \d+/;

/**
 * Starts nginx in front of something.
 *
 * @param {(listen: string) => string | Promise<string>} http the inside of the `http` block; `listen` is the address for its `listen` directive
 * @param {{connections?: number}} [options] how many connections it can have at once
 */
export async function startNginx(http, { connections = 512 } = {}) {
  // nginx cannot report a port that the system chose, so a free one is looked up first; in the rare case
  // that somebody else takes it in between, another is tried.
  for (let attempt = 1; ; attempt += 1) {
    const listen = `127.0.0.1:${await freePort()}`;
    const directory = await mkdtemp(join(tmpdir(), 'sockhop-nginx-'));
    const file = join(directory, 'nginx.conf');
    await writeFile(file, configuration(directory, await http(listen), connections));
    const child = new Child('nginx', NGINX, ['-c', file, '-p', directory, '-e', 'stderr']);
    const nginx = new Nginx(child, directory, `http://${listen}`);
    try {
      await child.line(READY);
      return nginx;
    } catch (error) {
      await nginx.stop();
      if (attempt === ATTEMPTS || !child.output.includes('Address already in use')) throw error;
    }
  }
}

class Nginx {
  #child;
  #directory;
  name = 'nginx';

  constructor(child, directory, url) {
    this.#child = child;
    this.#directory = directory;
    this.url = url;
  }

  get output() {
    return this.#child.output;
  }

  async stop() {
    if (!this.#child.ended) await this.#child.end('SIGTERM');
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** `proxy_pass` to `url` as a plain HTTP/1.1 proxy that hands on no Upgrade header. */
export function plainProxy(listen, url, extra = '') {
  return `
    server {
      listen ${listen};
      location / {
        proxy_pass ${url};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        ${extra}
      }
    }`;
}

function configuration(directory, http, connections) {
  // Workers drop root's rights by default and could then not write below a directory of root's.
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const scratch = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${directory}/${kind};`)
    .join('\n  ');
  return `
daemon off;
worker_processes 1;
${user}
pid ${directory}/nginx.pid;
error_log stderr notice;
events { worker_connections ${connections}; }
http {
  access_log off;
  ${scratch}
  ${http}
}
`;
}
