// The queries of a run over time, a lane for each worker. Drawn when it comes into view: it may hold ten thousand bars.

const LANE_WIDTH = 10000;
/** Bars of each verdict: their share of the lane's height, so that they differ by more than their colours. */
const TALL = { passed: 0.5, failed: 1, error: 1, skipped: 0.25 };

class Lanes {
  constructor(section, chart, rows) {
    Object.assign(this, { chart, rows, at: null });
    this.timed = rows.filter(({ number }) => chart.start[number] !== null)
      .sort((one, other) => chart.start[one.number] - chart.start[other.number]);
    this.count = Math.max(...this.timed.map((row) => chart.lane[row.number])) + 1;
    this.height = Math.max(2, Math.min(14, 240 / this.count));
    this.status = el('p', { class: 'note', role: 'status' });
    this.box = el('div', {
      class: 'lanes', tabindex: '0', role: 'group', 'aria-label': `${this.summary()} Arrow keys select a query, Enter opens it.`,
      onclick: (event) => this.open(this.under(event)),
      onmousemove: (event) => this.select(this.under(event)),
      onkeydown: (event) => this.key(event),
    });
    section.append(el('h2', {}, 'Workers'), this.box, this.axis(), el('p', { class: 'note' }, this.summary()), this.status);
    section.hidden = false;
    new IntersectionObserver((seen, observer) => {
      if (!seen.some((one) => one.isIntersecting)) return;
      observer.disconnect();
      this.draw();
    }, { rootMargin: '400px' }).observe(section);
    addEventListener('beforeprint', () => this.draw());
    this.box.style.height = `${this.count * this.height}px`;
  }

  summary() {
    const { restarts, more_restarts: more, resumed, is_packed: isPacked, ms } = this.chart;
    const facts = [`${isPacked ? `Up to ${many(this.count, 'query')} at a time` : many(this.count, 'worker')}, ${many(this.timed.length, 'query')} in ${time(ms / 1000)}.`];
    const places = restarts.slice(0, 5).map((at) => time(at / 1000));
    if (restarts.length) facts.push(`${many(restarts.length + more, 'restart')} of a server (dashed lines) at ${places.join(', ')}${restarts.length + more > places.length ? ', …' : ''}.`);
    for (const [at, seconds] of resumed.slice(0, 5)) facts.push(`Resumed at ${time(at / 1000)} (solid line), ${time(seconds)} later.`);
    if (this.timed.length < this.rows.length) facts.push(`${many(this.rows.length - this.timed.length, 'query')} without times ${this.rows.length - this.timed.length === 1 ? 'is' : 'are'} not drawn.`);
    facts.push('Tall bars are queries that failed (red) or ended in an error (orange).');
    return facts.join(' ');
  }

  x(ms) {
    return (LANE_WIDTH * ms) / this.chart.ms;
  }

  draw() {
    if (this.box.firstChild) return;
    const paths = { passed: [], failed: [], error: [], skipped: [] };
    for (const row of this.timed) {
      const tall = this.height * TALL[row.verdict];
      const y = (this.chart.lane[row.number] + 1) * this.height - tall;
      const width = Math.max(8, this.x((row.seconds || 0) * 1000) - 4);
      paths[row.verdict].push(`M${this.x(this.chart.start[row.number]).toFixed(0)} ${y.toFixed(1)}h${width.toFixed(0)}v${(tall - 0.5).toFixed(1)}h-${width.toFixed(0)}z`);
    }
    const full = this.count * this.height;
    const line = (at, kind) => svg('line', { class: kind, x1: this.x(at), x2: this.x(at), y1: 0, y2: full });
    this.marker = svg('rect', { class: 'marker', x: 0, y: 0, width: 0, height: this.height });
    this.box.append(svg('svg', { viewBox: `0 0 ${LANE_WIDTH} ${full}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      ...Object.entries(paths).filter(([, parts]) => parts.length).map(([kind, parts]) => svg('path', { class: kind, d: parts.join('') })),
      ...this.chart.restarts.map((at) => line(at, 'restart')),
      ...this.chart.resumed.map(([at]) => line(at, 'resumed')),
      this.marker));
  }

  axis() {
    return el('div', { class: 'axis', 'aria-hidden': 'true' }, [0, 1, 2, 3, 4].map((quarter) =>
      el('span', {}, quarter ? time((this.chart.ms * quarter) / 4000) : '0')));
  }

  under({ clientX, clientY }) {
    const box = this.box.getBoundingClientRect();
    const lane = Math.floor((clientY - box.top) / this.height);
    const ms = (this.chart.ms * (clientX - box.left)) / box.width;
    const slack = (3 * this.chart.ms) / box.width;
    return this.timed.filter((row) => this.chart.lane[row.number] === lane)
      .find((row) => ms >= this.chart.start[row.number] - slack && ms <= this.chart.start[row.number] + (row.seconds || 0) * 1000 + slack) || null;
  }

  select(row) {
    this.at = row;
    if (!row) return;
    this.draw();
    const { start, lane, is_packed: isPacked } = this.chart;
    const text = `${row.name}: ${row.verdict}, ${time(row.seconds)}, at ${time(start[row.number] / 1000) || '0 ms'}${isPacked ? '' : `, worker ${lane[row.number]}`}`;
    if (this.status.textContent !== text) this.status.textContent = text;
    this.marker.setAttribute('x', this.x(start[row.number]));
    this.marker.setAttribute('y', lane[row.number] * this.height);
    this.marker.setAttribute('width', Math.max(20, this.x((row.seconds || 0) * 1000)));
  }

  /** Return the query beside the selected one: `by` in its lane, or the one at the same time `down` lanes below. */
  beside(by, down) {
    const { start, lane } = this.chart;
    if (!this.at) return this.timed[0];
    const here = start[this.at.number];
    const at = (lane[this.at.number] + down + this.count) % this.count;
    const others = this.timed.filter((row) => lane[row.number] === at);
    if (!down) return others[others.indexOf(this.at) + by] || this.at;
    return others.reduce((best, row) => (Math.abs(start[row.number] - here) < Math.abs(start[best.number] - here) ? row : best), others[0]) || this.at;
  }

  open(row) {
    if (row) location.hash = row.link;
  }

  key(event) {
    const actions = {
      ArrowRight: () => this.select(this.beside(1, 0)),
      ArrowLeft: () => this.select(this.beside(-1, 0)),
      ArrowDown: () => this.select(this.beside(0, 1)),
      ArrowUp: () => this.select(this.beside(0, -1)),
      Enter: () => this.open(this.at),
    };
    if (!Object.hasOwn(actions, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  }
}
