// Python with the packages that a test needs, in a folder of this suite's own.

import { fileURLToPath } from 'node:url';
import { Child } from './child.js';

const HERE = fileURLToPath(new URL('../python/', import.meta.url));
const FOLDER = fileURLToPath(new URL('../.venv/', import.meta.url));
const INSTALL_MS = 300_000;

/** Runs one of the scripts of `python/`; resolves with what it wrote. */
export async function runPython(script, args) {
  const child = new Child(script, `${FOLDER}bin/python`, [`${HERE}${script}`, ...args]);
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`${script} ended with ${code}:\n${child.output}`);
  return child.output;
}

/** Runs a program that one of the packages brings, in a folder where it may write. */
export async function runTool(name, args, folder) {
  const child = new Child(name, `${FOLDER}bin/${name}`, args, { cwd: folder });
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`${name} ended with ${code}:\n${child.output}`);
}

/** Installs what `python/requirements.txt` names, once; test files that run at once wait for each other. */
export async function installPython() {
  const install = `
    cmp -s requirements.txt "$1/installed" && exit
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
    cp requirements.txt "$1/installed"`;
  const child = new Child('pip', 'flock', [`${HERE}.lock`, 'sh', '-ec', install, 'install', FOLDER], { cwd: HERE });
  const late = setTimeout(() => child.signal('SIGKILL'), INSTALL_MS);
  const { code } = await child.exited;
  clearTimeout(late);
  if (code !== 0) throw new Error(`what the tests need of Python could not be installed:\n${child.output}`);
}
