/** The live page: turns one stream of events into text and drawings. It knows nothing that the server did not send. */
import { html, lagChart, latencyChart, mergesChart, newEventsChart, throughput, throughputChart } from './charts.js';
import { newEvents, RowHistory } from './history.js';
import { age, bytes, clock, duration, instant, percent, proofText, short, span, whole } from './texts.js';
import { windowRows, windowsChart, windowsText } from './windows.js';

const RECONNECT_MS = 1_500;

const charts = {
  throughput: throughputChart(),
  latency: latencyChart(),
  merges: mergesChart(),
  windows: windowsChart(),
  lag: lagChart(),
  newEvents: newEventsChart(),
};

/** As the server keeps it. */
let history = new RowHistory();
let lastTick = null;

/** @param {string} name of `data-value` @param {string} text */
function show(name, text) {
  for (const element of document.querySelectorAll(`[data-value="${name}"]`)) {
    // What has not changed is left alone: screen readers would read it again, and selections would be lost.
    if (element.textContent !== text) element.textContent = text;
  }
}

const byId = (id) => document.getElementById(id);

/** @param {'connecting' | 'live' | 'lost'} state @param {string} text */
function showConnection(state, text) {
  const element = byId('connection');
  element.dataset.state = state;
  if (element.textContent !== text) element.textContent = text;
}

const PHASES = {
  standby: 'Standing by',
  starting: 'Starting',
  loading: 'Loading',
  merging: 'Merging',
  verifying: 'Checking the counts',
  following: 'Following',
  stopping: 'Stopping',
  ended: 'Ended',
};

/** For the mark, and for people. @returns {[string, string]} */
function stateOf({ snapshot, health }) {
  if (snapshot.ended !== null) {
    return snapshot.ended.exitCode === 0
      ? ['complete', 'Complete']
      : ['failed', `Ended with code ${snapshot.ended.exitCode}: ${snapshot.ended.reason}`];
  }
  if (health.status === 'stalled') return ['stalled', 'Stalled: nothing has moved for a while'];
  if (health.status === 'degraded') return ['waiting', `Following; ${health.reason}`];
  const phase = PHASES[snapshot.phase] ?? snapshot.phase;
  return snapshot.waiting === null ? ['running', phase] : ['waiting', `${phase}, waiting`];
}

function showProgress(tick) {
  const { snapshot, progress, rates, nowMs } = tick;
  const [state, text] = stateOf(tick);
  byId('state').dataset.state = state;
  show('state', text);
  show('percent', progress === null ? short(tick.done) : percent(progress));
  const bar = byId('progress');
  if (progress === null) bar.removeAttribute('aria-valuenow');
  else bar.setAttribute('aria-valuenow', (Math.floor(progress * 1000) / 10).toFixed(1));
  byId('progress-fill').style.width = `${(progress ?? 0) * 100}%`;
  show(
    'events',
    snapshot.totalEvents === null ? whole(tick.done) : `${whole(tick.done)} of ${whole(snapshot.totalEvents)}`,
  );
  show('eta', snapshot.ended !== null ? 'ended' : rates.etaSeconds === null ? 'unknown' : duration(rates.etaSeconds));
  show('elapsed-name', snapshot.ended === null ? 'Running for' : 'Ran for');
  show('elapsed', duration(((snapshot.ended?.atMs ?? nowMs) - snapshot.startedAtMs) / 1000));
  show('rate-now', whole(rates.now));
  show('rate-average', whole(rates.average));
  show('waiting', tick.waiting ?? 'nothing');
  document.title = `${progress === null ? short(tick.done) : percent(progress)} · DataSync ingestion`;
}

/** A quiet view for quiet days: how old the newest event is, and when anything last happened. */
function showFollow({ snapshot, health, nowMs }) {
  const { follow, totalEvents } = snapshot;
  byId('follow').hidden = follow === null;
  // A round has one window and a few pages: its figures say nothing. A run over everything has more windows, and is shown.
  const isQuiet = follow !== null && snapshot.windows.length < 2;
  for (const element of document.querySelectorAll('.of-a-walk')) element.hidden = isQuiet;
  byId('progress').hidden = follow !== null;
  show(
    'counts-of',
    follow === null ? 'merged events of the run, all starts together' : 'merged events of the last round',
  );
  if (follow === null) return;
  // What the run has taken is what the last round has taken.
  show('events', totalEvents === null ? 'unknown' : `${whole(totalEvents)} at the API`);
  const lag = health.lag_seconds === null ? 'unknown' : duration(health.lag_seconds);
  show('percent', health.lag_seconds === null ? 'following' : `${lag} behind`);
  document.title = `${lag} behind · DataSync ingestion`;
  const ago = (ms) => (ms === null ? 'not yet' : `${duration((nowMs - ms) / 1000)} ago`);
  show('newest-event', instant(follow.newestEventMs, 'unknown'));
  show('last-new', ago(follow.lastTakenMs));
  show('taken', whole(follow.takenEvents));
  show('looks', whole(follow.looks));
  if (follow.away !== null)
    show('waiting', `the API or the database, for ${duration((nowMs - follow.away.sinceMs) / 1000)}`);
  show('next-look', follow.nextLookMs > nowMs ? `in ${duration((follow.nextLookMs - nowMs) / 1000)}` : 'now');
  const { lastProof, unproven } = follow;
  const proven = lastProof === null ? 'none yet' : `${lastProof.kind}, ${ago(lastProof.atMs)}`;
  show('last-proof', unproven === null ? proven : `not proven (code ${unproven.exitCode})`);
}

function showApi({ snapshot, recent }) {
  show('requests', whole(snapshot.requests));
  show('rate-limited', whole(snapshot.rateLimited));
  show(
    'rate-wait',
    recent.rateLimitWait === null ? 'never' : `${span(recent.rateLimitWait.totalSeconds)} in all requests`,
  );
  show('in-flight', whole(snapshot.pagesInFlight));
  show(
    'latency-text',
    recent.pageRequest === null
      ? 'No request yet.'
      : `Lately half of the requests took less than ${span(recent.pageRequest.p50Seconds)}, 95 % less than ` +
          `${span(recent.pageRequest.p95Seconds)}; the slowest ${span(recent.pageRequest.maxSeconds)}.`,
  );
  showBars('retries', snapshot.retriesByKind, 'No retries.');
}

function showDatabase({ snapshot, recent }) {
  show('staged', whole(snapshot.stagedRows));
  show('merges', whole(snapshot.merges));
  show('copy-time', recent.copy === null ? '–' : span(recent.copy.p50Seconds));
  show('encode-time', recent.encode === null ? '–' : span(recent.encode.p50Seconds));
  show('encode-queue', whole(snapshot.encodeQueue));
  show('copy-queue', whole(snapshot.copyQueue));
  const { bytesInFlight, maxBytesInFlight } = snapshot;
  show('memory', maxBytesInFlight === 0 ? '–' : `${bytes(bytesInFlight)} of at most ${bytes(maxBytesInFlight)}`);
  const merges = snapshot.lastMerges;
  const last = merges.at(-1);
  show(
    'merges-text',
    last === undefined
      ? 'No merge yet.'
      : `The last merge took ${span(last.seconds)} for ${whole(last.events)} events, at ${clock(last.atMs)}.`,
  );
  charts.merges.show([merges.map((one) => one.atMs / 1000), merges.map((one) => one.events)]);
}

function showCounts({ counts, anomaliesByReason, proof }) {
  for (const name of ['served', 'loaded', 'rejected', 'inserted', 'updated', 'duplicates', 'repaired']) {
    show(name, whole(counts[name]));
  }
  show('loaded-again', whole(counts.loaded));
  const balanced =
    counts.served === counts.loaded + counts.rejected &&
    counts.loaded === counts.inserted + counts.updated + counts.duplicates;
  show('proof', `Proof of completeness: ${proof === null ? 'not yet, the run is not finished' : proofText(proof)}.`);
  show('balance', balanced ? '✓ The counts balance.' : '▲ The counts do not balance.');
  showBars('anomalies', anomaliesByReason, 'No anomalies.');
}

/** What a run of a described source promises does not change while it runs. */
function showCard({ card }) {
  if (card === null || !byId('card').hidden) return;
  byId('card').hidden = false;
  const rows = Object.entries(card).map(([name, answer]) =>
    html('div', '', html('dt', '', name.replaceAll('_', ' ')), html('dd', '', answer)),
  );
  byId('card-rows').replaceChildren(...rows);
}

/** @param {string} id @param {Record<string, number>} values @param {string} none */
function showBars(id, values, none) {
  const list = byId(id);
  const entries = Object.entries(values).sort((a, b) => b[1] - a[1]);
  const key = JSON.stringify(entries);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  const most = Math.max(1, ...entries.map(([, count]) => count));
  const bars = entries.map(([name, count]) => {
    const fill = html('span');
    fill.style.width = `${(count / most) * 100}%`;
    return html('li', '', html('span', '', name), html('span', '', whole(count)), html('div', 'bar', fill));
  });
  list.replaceChildren(...(bars.length === 0 ? [html('li', 'none', none)] : bars));
}

function showWindows({ snapshot, nowMs }) {
  const newestMs = snapshot.newestEventMs ?? nowMs;
  charts.windows.show(snapshot.windows, newestMs, snapshot.ended?.exitCode === 0);
  show('windows-text', windowsText(snapshot.windows, newestMs));
  if (!byId('windows-details').open) return;
  byId('windows-table').replaceChildren(
    ...windowRows(snapshot.windows).map((cells) => {
      const row = document.createElement('tr');
      cells.forEach((text, index) => {
        const cell = row.insertCell();
        cell.textContent = text;
        if (index === 5) cell.className = 'num';
      });
      return row;
    }),
  );
}

function showTick(tick) {
  lastTick = tick;
  const { snapshot } = tick;
  show('source', snapshot.source);
  show('run', snapshot.runId === null ? '–' : String(snapshot.runId));
  show('pass', String(snapshot.pass));
  show('endpoint', snapshot.endpoint ?? '–');
  showProgress(tick);
  showFollow(tick);
  showApi(tick);
  showDatabase(tick);
  showCounts(snapshot);
  showCard(snapshot);
  showWindows(tick);
  showHistory(tick);
}

function showHistory({ row, snapshot, rates }) {
  history.add(row, snapshot.ended !== null);
  // What is now is drawn, and kept only once in a while.
  const rows = row[0] > (history.rows.at(-1)?.[0] ?? 0) ? [...history.rows, row] : history.rows;
  const times = rows.map((one) => one[0] / 1000);
  charts.throughput.show(throughput(rows));
  charts.latency.show([times, rows.map((one) => one[4]), rows.map((one) => one[5])]);
  charts.lag.show([times, rows.map((one) => one[6])]);
  charts.newEvents.show([times, newEvents(rows)]);
  if (snapshot.follow !== null) showDay(rows);
  show(
    'throughput-text',
    `${whole(snapshot.fetchedEvents)} fetched, ${whole(snapshot.copiedEvents)} loaded, ${whole(snapshot.mergedEvents)} merged by this process; ` +
      `${whole(rates.average)} events/s on average.`,
  );
}

/** The charts of what is followed, in words. */
function showDay(rows) {
  const followed = rows.filter((one) => one[7] !== null);
  const lags = followed.flatMap((one) => (one[6] === null ? [] : [one[6]]));
  const [first, last] = [followed[0], followed.at(-1)];
  if (last === undefined) return;
  const lately = `in the last ${age((last[0] - first[0]) / 1000)}`;
  show('lag-text', lags.length === 0 ? 'Times do not tell.' : `At most ${duration(Math.max(...lags))} ${lately}.`);
  show('new-events-text', `${whole(last[7] - first[7])} new events ${lately}.`);
}

/** Browsers connect again by themselves after most failures, but not after all. */
function connect() {
  const events = new EventSource('/events');
  events.addEventListener('history', ({ data }) => {
    const { rows, intervalMs } = JSON.parse(data);
    history = new RowHistory(rows, intervalMs);
  });
  events.addEventListener('tick', ({ data }) => {
    const tick = JSON.parse(data);
    showTick(tick);
    showConnection('live', tick.snapshot.ended === null ? 'Live' : 'Connected; the job has ended');
  });
  events.addEventListener('error', () => {
    const since = lastTick === null ? '' : ` These figures are from ${clock(lastTick.nowMs)}.`;
    showConnection('lost', `Connection lost; trying again.${since}`);
    if (events.readyState !== EventSource.CLOSED) return;
    setTimeout(connect, RECONNECT_MS);
  });
}

byId('windows-details').addEventListener('toggle', () => {
  if (lastTick !== null) showWindows(lastTick);
});
connect();
