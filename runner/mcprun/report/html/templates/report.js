// The page of a run.

const data = island('data');
const rows = data.rows.map((cells) => Object.fromEntries(data.columns.map((name, at) => [name, cells[at]])));
rows.forEach((row, number) => {
  const repeats = Object.hasOwn(data.repeats, row.id) ? data.repeats[row.id] : null; // an id may be "constructor"
  Object.assign(row, { number, name: named(row.id, row.repeat), repeats });
});
link(rows);

const read = (row) => (row.kept ? island(`c-${row.number}`) : null);

/** Return the names that a row has in the lists of the data. */
const namesOf = (row) => ['tools', 'tags', 'metadata', 'checks'].flatMap((list) => row[list].map((at) => data[list][at]));

const searchText = (row) => {
  row.searchText ??= [row.name, row.prompt, row.cause, ...namesOf(row), textOf(read(row))]
    .join('\n').toLowerCase();
  return row.searchText;
};

const rate = ({ repeats }) => {
  if (!repeats) return null;
  const [passed, runs, flaky] = repeats;
  return [' ', el('span', { class: 'mark' }, `${passed}/${runs}`), flaky && el('span', { class: 'mark error' }, 'flaky')];
};

/** Maximum number of tags shown in a row. */
const SHOWN_TAGS = 4;

const calls = (row) => [
  grouped(row.calls),
  row.errors ? el('span', { class: 'mark failed' }, many(row.errors, 'error')) : null,
  row.diverged ? el('span', { class: 'mark error' }, `${row.diverged} diverged`) : null,
];

const tagsOf = (row) => row.tags.slice(0, SHOWN_TAGS).map((tag) => el('span', { class: 'tag' }, data.tags[tag]));

const has = (name) => rows.some((row) => row[name] !== null);
const columns = [
  { name: 'Verdict', kind: 'verdict-cell', cell: (row) => [verdict(row.verdict), row.regressed ? [' ', el('span', { class: 'mark failed' }, 'regressed')] : null], sort: (row) => row.verdict },
  { name: 'Query', kind: 'name', cell: (row) => [el('a', { href: row.link }, row.name), rate(row), tagsOf(row)], sort: (row) => row.name },
  {
    name: 'Prompt', kind: 'asked',
    cell: (row) => [row.prompt, row.cause && el('span', { class: `cause ${row.regressed && row.verdict === 'passed' ? 'failed' : row.verdict}` }, row.cause)],
  },
  { name: 'Turns', kind: 'number', cell: (row) => grouped(row.turns), sort: (row) => row.turns },
  { name: data.routing ? 'Requests' : 'Tool calls', kind: 'number calls', cell: calls, sort: (row) => row.calls },
  { name: 'Tokens', kind: 'number', cell: (row) => (row.tokens === null ? '' : grouped(row.tokens)), sort: (row) => row.tokens },
  { name: 'Time', kind: 'number time', cell: (row) => time(row.seconds), sort: (row) => row.seconds },
].filter(({ name }) => (name !== 'Tokens' || has('tokens')) && (name !== 'Time' || has('seconds')));

const isFlaky = (row) => Boolean(row.repeats && row.repeats[2]);

/** Return where a row is listed: what needs a look first. */
const rank = (row) => {
  if (row.red && row.verdict === 'error') return 0;
  if (row.red && row.verdict === 'failed') return 1;
  if (row.red) return 2; // it only regressed
  if (isFlaky(row)) return 3;
  if (row.diverged) return 4;
  return row.verdict === 'skipped' ? 6 : 5;
};
const isQuiet = (row) => rank(row) > 4;
const listed = rows.toSorted((one, other) => rank(one) - rank(other) || one.number - other.number);

const ofVerdict = (name) => ({ name, kind: name, group: 'verdict', test: (row) => row.verdict === name });
const chips = [
  ofVerdict('error'),
  ofVerdict('failed'),
  { name: 'regressed', kind: 'failed', group: 'regressed', test: (row) => Boolean(row.regressed) },
  { name: 'flaky', kind: '', group: 'flaky', test: isFlaky },
  { name: 'diverged', kind: '', group: 'diverged', test: (row) => row.diverged > 0 },
  { name: 'with tool errors', key: 'tool-errors', kind: '', group: 'errors', test: (row) => row.errors > 0 },
  ofVerdict('passed'),
  ofVerdict('skipped'),
];

/** Return the choices of a chooser: one for each name that a list of the data holds, by the row's cell of that name. */
const choicesOf = (list) => data[list].map((name, at) => ({ name, at, test: (row) => row[list].includes(at) }))
  .sort((one, other) => (one.name < other.name ? -1 : 1));
/** Return choices of which at least one leaves out rows; else none, as choosing would change nothing. */
const selective = (choices) => (choices.some(({ test }) => !rows.every(test)) ? choices : []);
const ASPECTS = {
  now_fails: 'now fails', now_passes: 'now passes', result: 'result changed', calls: 'other calls', other: 'other change', added: 'new',
};
/** Return the choices of a chooser by a label of the confusion matrix: at 0 what was expected, at 1 what was called. */
const labelChoices = (at) => (data.routing ? data.routing.labels : [])
  .map((name, index) => ({ name, test: ({ number }) => data.routing.rows[number] !== null && data.routing.rows[number][at] === index }))
  .filter(({ test }) => rows.some(test)).sort((one, other) => (one.name < other.name ? -1 : 1));
const choosers = [
  {
    key: 'cause', label: 'Any cause',
    choices: data.causes.map(({ cause, name }) => ({ name, value: String(cause + 1), test: (row) => row.causes.includes(cause) })),
  },
  {
    key: 'baseline', label: 'Any difference', noun: 'difference from the baseline',
    choices: Object.entries(ASPECTS).filter(([aspect]) => rows.some((row) => row.aspect === aspect))
      .map(([value, name]) => ({ name, value, test: (row) => row.aspect === value })),
  },
  { key: 'tag', label: 'Any tag', choices: selective(choicesOf('tags')) },
  { key: 'metadata', label: 'Any metadata', choices: selective(choicesOf('metadata')) },
  { key: 'expectation', label: 'Any expectation', choices: selective(choicesOf('checks')) },
  { key: 'tool', label: 'Any tool', choices: choicesOf('tools') },
  { key: 'expected', label: 'Any expected tool', choices: labelChoices(0) },
  { key: 'called', label: 'Any called tool', choices: labelChoices(1) },
  { key: 'outcome', label: 'Any outcome', choices: data.routing ? [] : outcomeChoices(rows, data) },
];

/** Describe rows that are folded: `39 passed, 24 skipped`. */
const foldedText = (all) => ['passed', 'skipped']
  .map((name) => [name, all.filter(({ verdict: one }) => one === name).length])
  .filter(([, count]) => count).map(([name, count]) => `${grouped(count)} ${name}`).join(', ');

if (data.lanes) new Lanes(document.getElementById('lanes'), data.lanes, rows);
if (data.slowest) {
  const row = rows[data.slowest.row];
  const panel = document.getElementById('slowest');
  panel.append(el('h2', {}, 'Slowest query: ', el('a', { href: row.link }, row.name)), waterfall(data.slowest.timeline, (call) => addressOf([['q', row.key], ['call', call]])) || '');
  panel.hidden = false;
}
if (rows.length) {
  const section = document.getElementById('queries');
  section.hidden = false;
  const table = new Table(section, {
    rows: listed, columns, chips, choosers, searchText, noun: Object.keys(data.repeats).length ? 'run' : 'query', isFolded: data.red ? isQuiet : null, foldedText,
  });
  new View(table, (row) => conversation(row, read(row), data.commands), (row) => Boolean(row.red));
}
offerScheme();
