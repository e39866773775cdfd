// One query's attempts, turns, calls, waits and idle time on a time axis, with a minimap of the whole.

const KINDS = ['attempt', 'idle', 'prompt', 'read', 'model', 'wait', 'call', 'judge', 'before', 'after', 'cleanup'];
const SPAN = ['kind', 'start', 'length', 'attempt', 'turn', 'call', 'label', 'problem'];
const DEFAULTS = [null, 0, 0, 1, null, null, -1, ''];
const PARTS = ['model', 'calls', 'waiting', 'steps', 'idle', 'other'];

/** A query's timeline whose spans are left out, as `html/waterfall.py` encodes it. */
const LEFT_OUT = 1;

/** Decode a timeline: its spans as objects, with times in seconds; null if there is none. */
const timelineOf = (value) => {
  if (!value || value === LEFT_OUT) return null;
  const spans = value.spans.map((cells) => {
    const span = Object.fromEntries(SPAN.map((name, at) => [name, at < cells.length ? cells[at] : DEFAULTS[at]]));
    return {
      ...span, kind: KINDS[span.kind], label: value.labels[span.label] || '', start: span.start / 1000, seconds: span.length / 1000,
    };
  });
  const parts = value.parts.map((ms) => ms / 1000);
  return { spans, parts, seconds: value.ms / 1000, unlisted: value.unlisted || 0, dropped: value.dropped || 0 };
};

/** Return the seconds of each turn's model request in the last attempt, by turn number. */
const turnTimes = (times) => {
  const spans = times ? times.spans : [];
  const last = lastAttempt(spans);
  return Object.fromEntries(spans
    .filter(({ kind, attempt }) => kind === 'model' && attempt === last)
    .map(({ turn, seconds }) => [turn, seconds]));
};

const lastAttempt = (spans) => Math.max(0, ...spans.map(({ attempt }) => attempt));

const spanName = ({ kind, attempt, turn, call, label }) => {
  switch (kind) {
    case 'attempt': return `attempt ${attempt}`;
    case 'idle': return 'idle';
    case 'wait': return label ? `wait for ${label}` : 'wait before a retry';
    case 'call': return `call ${call} ${label}`;
    case 'prompt': return `prompt ${label}`;
    case 'read':
    case 'before':
    case 'after':
    case 'cleanup': return `${kind} ${label}`;
    case 'judge': return 'judge';
    default: return `turn ${turn}`;
  }
};

const svg = (tag, attributes = {}, ...children) => {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter(Boolean));
  return node;
};

const WIDTH = 1000;
const LANE = 6;

/** Put spans of one kind into as few lanes as they need, so that those at the same time are beside each other. */
const lanesOf = (spans) => {
  const ends = [];
  return [...spans].sort((one, other) => one.start - other.start).map((span) => {
    let lane = ends.findIndex((end) => end <= span.start + 1e-9);
    if (lane < 0) lane = ends.length;
    ends[lane] = span.start + span.seconds;
    return [span, lane];
  });
};

/** Draw the whole of a timeline: requests above, calls and the rest below, and a tick for each problem at the foot. */
const minimap = (spans, seconds, go) => {
  const x = (at) => ((WIDTH * Math.max(0, at)) / seconds).toFixed(2);
  const requests = spans.filter(({ kind }) => kind === 'model' || kind === 'judge').map((span) => [span, 0]);
  const rest = spans.filter(({ kind }) => kind !== 'attempt' && kind !== 'model' && kind !== 'judge');
  const placed = [...requests, ...lanesOf(rest).map(([span, lane]) => [span, Math.min(lane, 5) + 1])];
  const lanes = Math.max(2, ...placed.map(([, lane]) => lane + 1));
  const failed = spans.filter(({ problem, kind }) => problem && kind !== 'attempt');
  const foot = lanes * LANE + 2;
  const bars = placed.map(([span, lane]) => svg('rect', {
    class: `span ${span.kind}${span.problem ? ' problem' : ''}`, x: x(span.start), y: lane * LANE,
    width: Math.max(1.5, (WIDTH * span.seconds) / seconds).toFixed(2), height: LANE - 1,
  }));
  const ticks = failed.map((span) => svg('rect', {
    class: 'tick', x: Math.min(WIDTH - 6, x(span.start + span.seconds)), y: foot, width: 6, height: 8,
  }));
  const brush = svg('rect', { class: 'brush', x: 0, y: 0, width: WIDTH, height: foot + 8 });
  const chart = svg('svg', {
    class: 'minimap', viewBox: `0 0 ${WIDTH} ${foot + 8}`, preserveAspectRatio: 'none', role: 'img',
    'aria-label': `Whole timeline: ${many(spans.length, 'span')} in ${time(seconds)}, ${many(failed.length, 'error')}`,
  }, brush, ...bars, ...ticks);
  chart.addEventListener('click', (event) => {
    const box = chart.getBoundingClientRect();
    go((seconds * (event.clientX - box.left)) / box.width);
  });
  return { chart, frame: (from, to) => {
    brush.setAttribute('x', x(from));
    brush.setAttribute('width', Math.max(4, (WIDTH * (to - from)) / seconds).toFixed(2));
  } };
};

/** Draw what the time of a query consists of, as a stacked bar with its legend. */
const partsBar = (parts, seconds) => {
  const shown = parts.map((part, at) => [PARTS[at], part]).filter(([, part]) => part > 0.0005 * seconds);
  let x = 0;
  const bars = shown.map(([name, part]) => {
    const width = (WIDTH * part) / seconds;
    const bar = svg('rect', { class: `part-${name}`, x: x.toFixed(2), y: 0, width: width.toFixed(2), height: 8 });
    x += width;
    return bar;
  });
  const texts = shown.map(([name, part]) => `${name} ${time(part)}`);
  return [
    svg('svg', { class: 'parts', viewBox: `0 0 ${WIDTH} 8`, preserveAspectRatio: 'none', role: 'img', 'aria-label': texts.join(', ') }, ...bars),
    el('p', { class: 'legend' }, shown.map(([name], at) => el('span', { class: `key part-${name}` }, texts[at]))),
  ];
};

/**
 * Draw a timeline, if there is one. `to` returns the link to a call (number → fragment); without it, bars are no links.
 */
const waterfall = (value, to = null) => {
  const times = timelineOf(value);
  if (!times || !times.spans.length) return null;
  const last = lastAttempt(times.spans);
  const several = last > 1;
  const spans = times.spans.filter(({ kind }) => several || kind !== 'attempt');
  const seconds = times.seconds || 1e-9;
  const rows = spans.map((span) => spanRow(span, seconds, to && span.kind === 'call' && span.attempt === last ? to(span.call) : null));
  const list = el('ol', { tabindex: '0', 'aria-label': 'Spans' }, rows);
  const failed = rows.filter((_, at) => spans[at].problem && spans[at].kind !== 'attempt');
  const where = el('span', { role: 'status' });
  const scrollTo = (row) => { list.scrollTop = row.offsetTop - 40; };
  const map = minimap(spans, seconds, (at) => {
    const next = spans.findIndex((span) => span.kind !== 'attempt' && span.start + span.seconds >= at);
    scrollTo(rows[next < 0 ? rows.length - 1 : next]);
  });
  const show = () => {
    const top = list.scrollTop;
    const seen = rows.map((row, at) => at).filter((at) => {
      const middle = rows[at].offsetTop + rows[at].offsetHeight / 2;
      return middle >= top && middle <= top + list.clientHeight;
    });
    if (!seen.length) return;
    const [first, end] = [seen[0], seen.at(-1)];
    map.frame(Math.min(...seen.map((at) => spans[at].start)), Math.max(...seen.map((at) => spans[at].start + spans[at].seconds)));
    where.textContent = seen.length < rows.length ? `Spans ${grouped(first + 1)} to ${grouped(end + 1)} of ${grouped(rows.length)}.` : many(rows.length, 'span') + '.';
  };
  list.addEventListener('scroll', () => requestAnimationFrame(show));
  new ResizeObserver(show).observe(list);
  const nextError = () => {
    const below = failed.find((row) => row.offsetTop > list.scrollTop + 60) || failed[0];
    scrollTo(below);
    (below.querySelector('a') || list).focus({ preventScroll: true });
  };
  const notes = [];
  if (times.unlisted) notes.push(`Idle times below 0.2 % are not listed (${times.unlisted}); the bar above counts them.`);
  if (times.dropped) notes.push(`${many(times.dropped, 'more span')} in trace.jsonl.`);
  return el('div', { class: 'waterfall' },
    partsBar(times.parts, seconds), map.chart, list,
    el('p', { class: 'note' }, `Total ${time(seconds)}. `, where, ' ', notes.join(' ')),
    failed.length ? el('button', { type: 'button', class: 'control', onclick: nextError }, failed.length > 1 ? `Next of ${grouped(failed.length)} errors` : 'Show the error') : null);
};

const spanRow = (span, seconds, href) => {
  const bar = el('span', { class: `span ${span.kind}${span.problem ? ' problem' : ''}` });
  bar.style.left = `${Math.min(99.5, (100 * Math.max(0, span.start)) / seconds)}%`;
  bar.style.width = `${(100 * span.seconds) / seconds}%`;
  const title = `${spanName(span)}: ${time(span.seconds)}, starts at ${time(span.start) || '0 ms'}${span.problem ? `; ${span.problem}` : ''}`;
  const cells = [
    el('span', { class: `what ${span.kind}` }, span.problem ? '✕ ' : '', spanName(span)),
    el('span', { class: 'track' }, bar),
    el('span', { class: 'number' }, time(span.seconds)),
  ];
  return el('li', { title, class: span.problem ? 'problem' : '' }, href ? el('a', { href }, cells) : cells);
};

/** Draw a query's timeline, or say why there is none and which command shows it. */
const timelinePanel = (value, command, to) => {
  if (value === LEFT_OUT) {
    return el('p', { class: 'note' }, 'Left out to limit the size of this file, because the query passed. To see it, run ',
      el('code', {}, command), '.');
  }
  return waterfall(value, to) || el('p', { class: 'note' }, 'Not available: the run has no trace of this query.');
};
