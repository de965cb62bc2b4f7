/** The time of each event by rank (0 is the newest): non-increasing, in whole milliseconds. */
import { fraction, purposeSeed } from './random.ts';
import type { SimulatorSettings, TimestampFormat } from '../settings.ts';

const MS_PER_DAY = 86_400_000;
const YEAR_MS = 365 * MS_PER_DAY;
const BURSTS = 4;

type Placement = (position: number) => number;

/** @returns age in ms as a monotone function of the position in [0, 1) */
function placement(settings: SimulatorSettings): Placement {
  const spanMs = settings.days * MS_PER_DAY;
  switch (settings.distribution) {
    case 'uniform':
      return (x) => x * spanMs;
    case 'skewed': {
      // The burst lies inside, at 40 % of the time: a burst at either end would be a special case.
      const burstStart = spanMs * 0.4;
      const burst = spanMs * 0.01;
      const quietSpan = spanMs - burst;
      return (x) => {
        if (x < 0.04) return (x / 0.04) * burstStart;
        if (x < 0.94) return burstStart + ((x - 0.04) / 0.9) * burst;
        return burstStart + burst + ((x - 0.94) / 0.06) * (quietSpan - burstStart);
      };
    }
    case 'gaps':
      return (x) => {
        const burst = Math.min(BURSTS - 1, Math.floor(x * BURSTS));
        return burst * YEAR_MS + (x * BURSTS - burst) * (spanMs / BURSTS);
      };
    case 'instant':
      return () => 0;
    case 'ties': {
      const groups = Math.max(1, Math.ceil(settings.events / settings.tieSize));
      return (x) => (Math.floor(x * groups) / groups) * spanMs;
    }
  }
}

/** @returns the timestamp format of each rank, drawn by the seed */
export function timestampFormatOf(settings: SimulatorSettings): (rank: number) => TimestampFormat {
  const formats = settings.timestamps;
  const only = formats.length === 1 ? formats[0] : undefined;
  if (only !== undefined) return () => only;
  const seed = purposeSeed(settings.seed, 'format');
  return (rank) => formats[Math.floor(fraction(seed, rank) * formats.length)] ?? 'ms';
}

/** Epoch ms of every event, newest first. */
export function eventTimes(settings: SimulatorSettings): Float64Array {
  const { events, newest } = settings;
  const times = new Float64Array(events);
  const ageAt = placement(settings);
  const seed = purposeSeed(settings.seed, 'time');
  const formatAt = timestampFormatOf(settings);
  const wholeSeconds = settings.timestamps.includes('whole-seconds');
  const jitter = settings.distribution === 'uniform' || settings.distribution === 'skewed';
  let previous = newest;
  for (let rank = 0; rank < events; rank += 1) {
    // The first event is at `newest`. Each other one lies inside a slot of its own, so that times stay sorted.
    const position = rank === 0 ? 0 : (rank + (jitter ? fraction(seed, rank) : 0)) / events;
    let time = Math.min(previous, newest - Math.floor(ageAt(position)));
    // This format has whole seconds only, and the served time must be the time that orders the event.
    if (wholeSeconds && formatAt(rank) === 'whole-seconds') time = Math.floor(time / 1000) * 1000;
    times[rank] = time;
    previous = time;
  }
  return times;
}
