// How results are written.

/** How sessions ended, by codes. */
export function endsText(ends) {
  const all = Object.entries(ends).map(([code, count]) => `${count} with ${code}`);
  return all.length > 0 ? all.join(', ') : '0';
}

/** A table in Markdown. */
export function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

export const capital = (text) => text[0].toUpperCase() + text.slice(1);
