// The HTTP API against its own OpenAPI document: schemathesis makes up calls, right ones and wrong ones.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe } from 'node:test';
import { Lifetime } from '../harness/lifetime.js';
import { installPython, runTool } from '../harness/python.js';
import { startRedis } from '../harness/redis.js';
import { scenario } from '../harness/scenario.js';
import { startSockhop } from '../harness/sockhop.js';

const KEY = 'key-of-the-tests-0123456789';

const life = new Lifetime();
await installPython();
const folder = await mkdtemp(join(tmpdir(), 'sockhop-api-'));
life.add({ stop: () => rm(folder, { recursive: true, force: true }) });
await writeFile(join(folder, 'keys'), `tests publish,read,manage ${KEY}\n`);
const redis = life.add(await startRedis());

after(() => life.end());

for (const [name, args] of [
  ['in memory', []],
  ['over Redis', ['--store', redis.url]],
]) {
  describe(`the HTTP API ${name}`, () => {
    scenario('it answers every call as its document says', life, async () => {
      // What it makes up can be larger than what a server takes by default, whose limit has a test of its own.
      const api = ['--api-path', '/api', '--api-keys', join(folder, 'keys'), '--api-body-limit', '64MiB'];
      const server = life.add(await startSockhop({ args: [...api, ...args] }));
      const base = `${server.url}/api/v1`;
      const key = `Authorization: Bearer ${KEY}`;
      await runTool('schemathesis', ['run', `${base}/openapi.json`, '--url', base, '-H', key, '--seed', '1'], folder);
    });
  });
}
