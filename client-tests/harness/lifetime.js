// What is started ends, in reverse order, also when a test failed; until then it can be asked what it wrote.

const REPORTED_CHARACTERS = 4096;

export class Lifetime {
  #things = [];

  /** Keeps `thing`, whose `stop()` is called at the end; hands it back. */
  add(thing) {
    this.#things.push(thing);
    return thing;
  }

  /** The newest output of each process that is kept here, for failure messages. */
  report() {
    return this.#things
      .filter(({ output }) => output !== undefined)
      .map(({ name, output }) => `--- ${name} wrote, up to now:\n${output.slice(-REPORTED_CHARACTERS)}`)
      .join('\n');
  }

  /** Stops everything, the newest first; one failure does not keep the others alive. */
  async end() {
    const failures = [];
    while (this.#things.length > 0) {
      try {
        await this.#things.pop().stop();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, 'several things did not stop well');
  }
}
