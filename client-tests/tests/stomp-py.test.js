// stomp.py, a client in Python, over a plain WebSocket.

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { Lifetime } from '../harness/lifetime.js';
import { installPython, runPython } from '../harness/python.js';
import { scenario } from '../harness/scenario.js';
import { startOneNode, startThreeNodes } from '../harness/stomp-places.js';

const life = new Lifetime();
await installPython();
const places = [await startOneNode(life), await startThreeNodes(life)];

after(() => life.end());

for (const place of places) {
  describe(`stomp.py, ${place.name}`, () => {
    for (const kind of ['text', 'binary']) {
      scenario(`it talks over ${kind} messages, and gets what came since it was away`, life, async () => {
        const output = await runPython('conversation.py', [new URL(place.url).port, kind]);
        const came = output
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line));
        const second = { body: 'zwei\nZeilen ü', note: 'a:b\\c' };
        const committed = { body: 'committed', note: null };
        assert.deepEqual(came, [{ body: 'plain', note: null }, second, committed, second, committed]);
      });
    }
  });
}
