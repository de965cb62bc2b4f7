/** How new an event time may be believed to be. Pure. */
import type { PageTimes } from '../../core/encoded-page.ts';

/** `Date` comes in whole seconds, cut off. */
const DATE_PRECISION_MS = 1_000;

/** The clock at a response: the API's own, or ours where it sends no `Date`. */
export function clockAt(response: { readonly serverDateMs: number | null; readonly receivedAtMs: number }): number {
  return response.serverDateMs ?? response.receivedAtMs;
}

/**
 * The newest time of the page that begins a pass, epoch ms, but never later than the clock says it is: one event
 * dated 2099 must not hide everything that comes after it. When the newest time is beyond belief, the page's last one
 * is taken, because how new those between them are is not known; then a page's worth of events is looked at twice.
 */
export function newestBelievable(times: PageTimes, clockMs: number): number {
  if (times.newestMs < clockMs + DATE_PRECISION_MS) return Math.min(times.newestMs, clockMs);
  return Math.min(times.lastMs, clockMs);
}
