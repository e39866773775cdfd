// The page of a comparison.

const data = island('data');
const rows = data.rows.map((cells) => Object.fromEntries(data.columns.map((name, at) => [name, cells[at]])));
rows.forEach((row, number) => Object.assign(row, { number, name: named(row.id, row.repeat) }));
link(rows);

const read = (row) => (row.kept ? island(`d-${row.number}`) : null);

const searchText = (row) => {
  row.searchText ??= [row.name, ...row.changes, textOf(read(row))].join('\n').toLowerCase();
  return row.searchText;
};

/** A repeated query has no verdict but the number of its runs that passed: `3/10`. */
const outcome = (one) => (/^\d/.test(one) ? `${one} passed` : verdict(one));

const verdicts = ({ before, after }) =>
  before && after && before !== after ? [outcome(before), ' → ', outcome(after)] : outcome(after || before);

const columns = [
  { name: 'Change', kind: 'verdict-cell', cell: (row) => el('span', { class: `how ${row.how}` }, row.how), sort: (row) => row.how },
  { name: 'Query', kind: 'name', cell: (row) => el('a', { href: row.link }, row.name), sort: (row) => row.name },
  { name: 'Verdict', kind: 'verdicts', cell: verdicts, sort: (row) => `${row.before} ${row.after}` },
  { name: 'Details', kind: 'asked', cell: (row) => row.changes.map((one) => el('code', { class: 'cause' }, one)) },
];
const chips = [
  ...['changed', 'added', 'removed'].map((name) => ({ name, kind: `how ${name}`, group: 'how', test: (row) => row.how === name })),
  { name: 'regressions', kind: '', group: 'worse', test: (row) => Boolean(row.worse) },
];

if (rows.length) {
  const section = document.getElementById('queries');
  section.hidden = false;
  if (data.left_out) section.append(el('p', { class: 'note' }, data.left_out));
  new View(new Table(section, { rows, columns, chips, searchText, noun: 'query' }), (row) => comparison(row, read(row), data.names));
}
offerScheme();
