// Python with the packages that a test needs, in a folder of this suite's own.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Child } from './child.js';

const HERE = fileURLToPath(new URL('../python/', import.meta.url));
const FOLDER = fileURLToPath(new URL('../.venv/', import.meta.url));
const INSTALL_MS = 120_000;

/** Runs one of the scripts of `python/`; resolves with what it wrote. */
export async function runPython(script, args) {
  const child = new Child(script, `${FOLDER}bin/python`, [`${HERE}${script}`, ...args]);
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`${script} ended with ${code}:\n${child.output}`);
  return child.output;
}

/** Installs what `python/requirements.txt` names, once. */
export async function installPython() {
  if (existsSync(`${FOLDER}installed`)) return;
  await run('python3', ['-m', 'venv', FOLDER]);
  await run(`${FOLDER}bin/pip`, ['install', '--quiet', '--disable-pip-version-check', '-r', `${HERE}requirements.txt`]);
  await run('touch', [`${FOLDER}installed`]);
}

async function run(command, args) {
  const child = new Child(command, command, args);
  const late = setTimeout(() => child.signal('SIGKILL'), INSTALL_MS);
  const { code } = await child.exited;
  clearTimeout(late);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${child.output}`);
}
