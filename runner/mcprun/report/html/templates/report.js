// The page of a run.

const data = island('data');
const rows = data.rows.map((cells) => Object.fromEntries(data.columns.map((name, at) => [name, cells[at]])));
rows.forEach((row, number) => {
  const repeats = Object.hasOwn(data.repeats, row.id) ? data.repeats[row.id] : null; // an id may be "constructor"
  Object.assign(row, { number, name: named(row.id, row.repeat), repeats });
});
link(rows);

const read = (row) => (row.kept ? island(`c-${row.number}`) : null);

const searchText = (row) => {
  row.searchText ??= [row.name, row.prompt, row.cause, ...row.tools.map((tool) => data.tools[tool]), textOf(read(row))]
    .join('\n').toLowerCase();
  return row.searchText;
};

const rate = ({ repeats }) => {
  if (!repeats) return null;
  const [passed, runs, flaky] = repeats;
  return [' ', el('span', { class: 'mark' }, `${passed}/${runs}`), flaky && el('span', { class: 'mark error' }, 'flaky')];
};

const calls = (row) => [
  grouped(row.calls),
  row.errors ? el('span', { class: 'mark failed' }, many(row.errors, 'error')) : null,
  row.diverged ? el('span', { class: 'mark error' }, `${row.diverged} diverged`) : null,
];

const has = (name) => rows.some((row) => row[name] !== null);
const columns = [
  { name: 'Verdict', kind: 'verdict-cell', cell: (row) => [verdict(row.verdict), row.regressed ? [' ', el('span', { class: 'mark failed' }, 'regressed')] : null], sort: (row) => row.verdict },
  { name: 'Query', kind: 'name', cell: (row) => [el('a', { href: row.link }, row.name), rate(row)], sort: (row) => row.name },
  {
    name: 'Prompt', kind: 'asked',
    cell: (row) => [row.prompt, row.cause && el('span', { class: `cause ${row.regressed && row.verdict === 'passed' ? 'failed' : row.verdict}` }, row.cause)],
  },
  { name: 'Turns', kind: 'number', cell: (row) => grouped(row.turns), sort: (row) => row.turns },
  { name: 'Tool calls', kind: 'number calls', cell: calls, sort: (row) => row.calls },
  { name: 'Tokens', kind: 'number', cell: (row) => (row.tokens === null ? '' : grouped(row.tokens)), sort: (row) => row.tokens },
  { name: 'Duration', kind: 'number time', cell: (row) => time(row.seconds), sort: (row) => row.seconds },
].filter(({ name }) => (name !== 'Tokens' || has('tokens')) && (name !== 'Duration' || has('seconds')));

const chips = [
  ...['passed', 'failed', 'error', 'skipped'].map((name) => ({ name, kind: name, group: 'verdict', test: (row) => row.verdict === name })),
  { name: 'regressed', kind: 'failed', group: 'regressed', test: (row) => Boolean(row.regressed) },
  { name: 'flaky', kind: '', group: 'flaky', test: (row) => Boolean(row.repeats && row.repeats[2]) },
  { name: 'with tool errors', kind: '', group: 'errors', test: (row) => row.errors > 0 },
  { name: 'diverged', kind: '', group: 'diverged', test: (row) => row.diverged > 0 },
];
const choices = data.tools.map((name, tool) => ({ name, test: (row) => row.tools.includes(tool) }))
  .sort((one, other) => (one.name < other.name ? -1 : 1));

if (data.slowest) {
  const row = rows[data.slowest.row];
  const panel = document.getElementById('slowest');
  panel.append(el('h2', {}, 'Slowest query: ', el('a', { href: row.link }, row.name)), waterfall(data.slowest) || '');
  panel.hidden = false;
}
if (rows.length) {
  const section = document.getElementById('queries');
  section.hidden = false;
  const table = new Table(section, { rows, columns, chips, choices, choose: 'Any tool', searchText, noun: 'query' });
  new View(table, (row) => conversation(row, read(row), data.run));
}
offerScheme();
