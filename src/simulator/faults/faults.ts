/** Decides the fault of the Nth request of a kind: by plan, else by share. The same seed gives the same faults. */
import { faultKinds, type FaultKind } from './fault-kinds.ts';
import { fraction, purposeSeed } from '../data/random.ts';
import type { SimulatorSettings } from '../settings.ts';

export class FaultSource {
  private readonly counts = { page: 0, events: 0, stream: 0, access: 0 };
  private burstLeft = 0;

  /** Counts a request to this endpoint. @returns its fault, `null` when it goes well */
  next(settings: SimulatorSettings, endpoint: 'events' | 'stream' | 'access'): FaultKind | null {
    const nth = (this.counts[endpoint] += 1);
    const page = endpoint === 'access' ? 0 : (this.counts.page += 1);
    for (const planned of settings.faultPlan) {
      if (planned.on === endpoint ? planned.nth === nth : planned.on === 'page' && planned.nth === page) {
        return this.begin(settings, planned.fault);
      }
    }
    if (endpoint === 'access') return null;
    if (this.burstLeft > 0) {
      this.burstLeft -= 1;
      return '429';
    }
    let draw = fraction(purposeSeed(settings.seed, 'fault'), page);
    for (const kind of faultKinds) {
      draw -= settings.faults[kind] ?? 0;
      if (draw < 0) return this.begin(settings, kind);
    }
    return null;
  }

  private begin(settings: SimulatorSettings, kind: FaultKind): FaultKind {
    if (kind === '429') this.burstLeft = settings.burst - 1;
    return kind;
  }
}
