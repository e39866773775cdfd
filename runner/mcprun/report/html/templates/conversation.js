// One query as a conversation: its problems first, then the messages, with calls folded.

const verdict = (name) => el('span', { class: `verdict ${name}` }, name);

const text = (content, kind = '') => el('pre', { class: kind }, content);

/** Draw an image. Its type was checked when the page was built, and the page's policy allows no other source. */
const image = ({ mime, data }) => {
  const size = many(Math.floor((data.replace(/=+$/, '').length * 3) / 4), 'byte');
  return el('figure', {}, el('img', { src: `data:${mime};base64,${data}`, alt: `${mime}, ${size}` }),
    el('figcaption', {}, `${mime}, ${size}`));
};

const part = (who, kind, ...children) =>
  el('div', { class: `part ${kind}` }, el('div', { class: 'who' }, who), el('div', { class: 'what' }, children));

const labelled = (label, ...children) => el('div', { class: 'labelled' }, el('div', { class: 'label' }, label), el('div', {}, children));

/** Draw what was called or read, and what it returned, in one line. */
const madeLine = (item, ...marks) => el('summary', {}, el('code', {}, item.title), el('span', { class: 'arrow' }, ' → '),
  el('code', { class: item.is_error ? 'failed' : 'result' }, item.brief), item.is_error && el('span', { class: 'mark failed' }, 'error'), marks);

/** Draw the whole result of a call or a step. */
const madeResult = (item) => {
  const content = item.items.map((one) => (one.kind === 'image' ? image(one) : text(one.text, item.is_error ? 'failed' : '')));
  return [labelled(item.is_error ? 'Error' : 'Result', content.length ? content : text('(empty)', 'dim')),
    item.structured === null ? null : labelled('Structured', text(item.structured))];
};

/** Draw a call, folded unless it failed or differs. `changed` is how it differs, if it does (`changedCalls`). */
const callPart = (item, changed) => {
  const line = madeLine(item, item.diverged && el('span', { class: 'mark error' }, 'diverged'));
  const hasImage = item.items.some((one) => one.kind === 'image');
  return part(`call ${item.call}`, 'call', el('details', { open: item.is_error || hasImage || Boolean(changed), 'data-call': item.call }, line,
    labelled('Input', text(item.input)),
    changed ? labelled('Changed', changedPaths(changed, changed.names)) : null,
    whole(changed, madeResult(item))));
};

/** Draw the steps of a phase, apart from the conversation, and the values that they gave to names. */
const stepsPart = ({ title, steps, values }) => el('section', { class: 'steps', 'aria-label': title },
  el('h2', {}, title),
  steps.map((item) => part(item.name, 'step', el('details', { open: item.is_open }, madeLine(item),
    item.input === null ? null : labelled('Input', text(item.input)), madeResult(item)))),
  values.map(([name, value]) => part('vars', 'step', el('code', {}, `{{${name}}} = ${value}`))));

const turnPart = (item, seconds) => {
  const facts = [`turn ${item.turn}`, item.stop, item.read === null ? null : `${grouped(item.read)} tokens in, ${grouped(item.written)} out`,
    seconds === undefined ? null : time(seconds)];
  return el('p', { class: 'turn' }, facts.filter(Boolean).join(' · '));
};

/** Fold a whole result below the parts of it that changed. */
const whole = (changed, nodes) => (changed ? el('details', {}, el('summary', { class: 'note' }, 'Whole result'), nodes) : nodes);

const itemPart = (item, seconds, changed) => {
  if (item.kind === 'turn') return turnPart(item, seconds);
  if (item.kind === 'call') return callPart(item, changed.get(item.call));
  if (item.kind === 'request') return part('request', 'call', el('details', {}, el('summary', {}, el('code', {}, item.title)), labelled('Input', text(item.input))));
  if (item.kind === 'expected') return part('expected', 'call', el('code', {}, item.text));
  if (item.kind === 'steps') return stepsPart(item);
  if (item.kind === 'note') return el('p', { class: 'note' }, item.text);
  if (item.kind === 'image') return part(item.who, item.who, image(item));
  return part(item.dim ? 'thinking' : item.who, item.dim ? 'dim' : item.who, text(item.text));
};

/** Draw the failed checks and the error, then the checks that passed on one line. */
const findings = ({ error, checks }) => [
  error && el('div', { class: 'finding error' }, el('strong', {}, error.kind), text(error.message)),
  ...checks.filter(([, passed]) => !passed).map(([name, , message]) =>
    el('div', { class: 'finding failed' }, el('strong', {}, `✗ ${name}`), text(message || 'failed'))),
  checks.some(([, passed]) => passed) && el('p', { class: 'held' },
    `✓ ${[...new Set(checks.filter(([, passed]) => passed).map(([name]) => name))].join(', ')}`),
];

/** Draw what the query asks for beside its prompt. A tag is a link to all queries that have it. */
const askedFor = ({ tags, metadata, expect }) => [
  tags && el('p', { class: 'facts' }, 'Tags: ', tags.map((tag) => [el('a', { class: 'tag', href: addressOf([['tag', tag]]) }, tag), ' '])),
  metadata && el('details', {}, el('summary', { class: 'note' }, 'Metadata'), text(metadata)),
  expect && el('details', {}, el('summary', { class: 'note' }, 'Expectations'), text(expect)),
];

/** Draw what the server wrote during the failed call: the line of the exception first. Lines do not wrap. */
const serverLog = ({ text: log, exception, others }) => el('details', { open: true },
  el('summary', {}, 'Server log since the last failed call'),
  exception && el('p', { class: 'exception' }, el('code', {}, exception)),
  el('pre', { class: 'log', tabindex: '0', role: 'region', 'aria-label': 'Server log' }, log),
  others ? el('p', { class: 'note' }, `${many(others, 'other call')} ran meanwhile: some lines may be theirs.`) : null);

/** Draw a conversation. `value` is its island, or null if the page does not hold it. */
const conversation = (row, value, commands) => {
  const heading = el('h1', { tabindex: '-1' }, verdict(row.verdict), ' ', row.name,
    row.regressed ? el('span', { class: 'mark failed' }, 'regressed') : null);
  if (!value) {
    return [heading, row.cause && el('div', { class: `finding ${row.verdict}` }, text(row.cause)), text(row.prompt),
      el('p', { class: 'note' }, 'This conversation was omitted to limit the size of this file. To see it, run ',
        el('code', {}, showCommand(commands.show, row.id)), '.')].filter(Boolean);
  }
  const facts = [value.model, `stop: ${value.stop}`, many(row.turns, 'turn'), many(row.calls, data.routing ? 'request' : 'call'),
    row.tokens === null ? null : many(row.tokens, 'token'), row.seconds === null ? null : time(row.seconds),
    value.attempts > 1 ? many(value.attempts, 'attempt') : null];
  const times = turnTimes(timelineOf(value.timeline));
  const changed = changedCalls(value);
  const items = value.items.map((item) => itemPart(item, times[item.turn], changed));
  return [
    el('div', { class: 'head' }, heading, el('p', { class: 'facts' }, facts.filter(Boolean).join(' · ')), findings(value), askedFor(value.asked_for)),
    ...changedList(row.regressed ? 'Regressed against the baseline' : 'Differs from the baseline', value.against, COMPARED.against),
    ...changedList('Differs from the recording', value.recorded, COMPARED.recorded),
    ...reproduce(value.reproduce, commands),
    el('div', { class: 'columns' },
      el('div', { class: 'items' }, items.length ? items : el('p', { class: 'note' }, 'No messages.')),
      el('aside', {},
        el('section', {}, el('h2', {}, 'Timeline'), timelinePanel(value.timeline, showCommand(commands.show, row.id, '--trace'), callLink)),
        tokensPanel(value.tokens),
        value.log && serverLog(value.log))),
  ];
};
