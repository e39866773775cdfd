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
  { name: 'other verdict', kind: '', group: 'verdict', test: ({ before, after }) => Boolean(before && after && before !== after) },
  ...['changed', 'added', 'removed'].map((name) => ({ name, kind: `how ${name}`, group: 'how', test: (row) => row.how === name })),
  { name: 'regressions', kind: '', group: 'worse', test: (row) => Boolean(row.worse) },
];

/** The list of changes that several queries share, as a filter of the table. */
const chooser = {
  key: 'change', label: 'All changes', noun: 'change',
  choices: data.groups.map(({ title, queries }, at) => ({
    name: `${title.length > 70 ? `${title.slice(0, 70)}…` : title} (${grouped(queries)})`, value: String(at + 1),
    test: (row) => row.groups.includes(at),
  })),
};

const value = ([sign, parts, fails]) => el('span', { class: `line ${sign === '-' || fails ? 'before' : sign === '+' ? 'after' : ''}` },
  el('span', { class: 'sign' }, sign), words(parts), '\n');

const sharedChange = (table) => ({ title, counts, queries, worse, lines: values, more }, at) => {
  const show = () => {
    table.set({ chosen: new Map([[chooser, chooser.choices[at]]]), pressed: new Set(), words: '' });
    table.status.scrollIntoView({ block: 'start' });
    table.focus(table.shown[0]);
  };
  return el('li', { class: worse ? 'worse' : '' },
    el('div', { class: 'change' }, el('code', {}, title), el('span', { class: 'note' }, counts),
      worse ? el('span', { class: 'failed' }, worse === queries ? 'all worse' : `${grouped(worse)} worse`) : null,
      el('button', { type: 'button', class: 'control', 'aria-label': `Show ${many(queries, 'query')}: ${title}`, onclick: show }, `Show ${grouped(queries)}`)),
    values.length ? el('pre', { class: 'lines' }, values.map(value), more) : null);
};

/** List what several queries share; the first ten, and the others folded. */
const listChanges = (table) => {
  const section = document.getElementById('changes');
  section.hidden = !data.groups.length;
  const items = data.groups.map(sharedChange(table));
  section.append(el('ol', { class: 'shared' }, items.slice(0, 10)));
  const left = items.slice(10);
  if (left.length) section.append(el('details', {}, el('summary', {}, many(left.length, 'more change')), el('ol', { class: 'shared' }, left)));
  if (data.more_groups) section.append(el('p', { class: 'note' }, `… and ${many(data.more_groups, 'more change')}. Run mcprun diff to see them.`));
};

if (rows.length) {
  const section = document.getElementById('queries');
  section.hidden = false;
  if (data.left_out) section.append(el('p', { class: 'note' }, data.left_out));
  const table = new Table(section, { rows, columns, chips, choosers: [chooser], searchText, noun: 'query' });
  listChanges(table);
  new View(table, (row) => comparison(row, read(row), data.names));
}
offerScheme();
