// Whether messages follow one another: a message-id is a place in its topic, `LIFE-NUMBER`.

export class Account {
  came = 0;
  whileAway = 0;
  missing = 0;
  twice = 0;
  /** The message-id of the last message, to go on behind. */
  last = undefined;

  /**
   * A message has come.
   *
   * @param {string} id its message-id
   * @param {boolean} away whether it was sent while there was no connection
   */
  add(id, away) {
    const [life, number] = parse(id);
    const [lastLife, lastNumber] = parse(this.last ?? '');
    this.came += 1;
    if (away) this.whileAway += 1;
    if (life === lastLife && number <= lastNumber) this.twice += 1;
    if (life === lastLife && number > lastNumber + 1) this.missing += number - lastNumber - 1;
    this.last = id;
  }

  /** What can be said of it. */
  get text() {
    if (this.came === 0) return 'Nothing has come yet.';
    if (this.missing > 0) return `${this.missing} missing.`;
    if (this.twice > 0) return `${this.twice} came twice.`;
    return 'Nothing is missing, and nothing came twice.';
  }
}

function parse(id) {
  const dash = id.lastIndexOf('-');
  return [id.slice(0, dash), Number(id.slice(dash + 1))];
}
