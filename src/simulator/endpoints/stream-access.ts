/** Grants stream access to requests that look like the dashboard's, and knows which tokens are alive. */
import type { IncomingMessage } from 'node:http';
import { jsonAnswer, type Answer } from './answer.ts';
import { serverErrorAnswer } from '../faults/fault-answers.ts';
import { hash32, purposeSeed } from '../data/random.ts';
import type { SimulatorSettings } from '../settings.ts';
import type { TrafficCounts } from '../traffic.ts';

const dashboardRequired: Answer = jsonAnswer(403, { error: 'Forbidden', code: 'DASHBOARD_REQUIRED' });

export class StreamAccess {
  private readonly expiresAtMs = new Map<string, number>();
  private grants = 0;

  grant(settings: SimulatorSettings, req: IncomingMessage, key: string, counts: TrafficCounts): Answer {
    if (settings.streamAccess === 'absent') return jsonAnswer(404, { error: 'Not Found', code: 'NOT_FOUND' });
    if (settings.streamAccess === 'refused')
      return jsonAnswer(403, { error: 'Forbidden', code: 'STREAM_ACCESS_DENIED' });
    const isBroken = settings.accessBreaksAfter > 0 && this.grants >= settings.accessBreaksAfter;
    if (settings.streamAccess === 'broken' || isBroken) return serverErrorAnswer(502, 'html');
    if (req.method !== 'POST') return jsonAnswer(405, { error: 'Method Not Allowed' }, { Allow: 'POST' });
    if (!looksLikeDashboard(settings, req, key)) return dashboardRequired;
    this.grants += 1;
    counts.tokensIssued += 1;
    const seed = purposeSeed(settings.seed, 'token');
    const token = Array.from({ length: 8 }, (_, part) =>
      hash32(seed + part, this.grants)
        .toString(16)
        .padStart(8, '0'),
    ).join('');
    const nowMs = Date.now();
    this.expiresAtMs.set(token, nowMs + settings.tokenLifetime * 1000);
    return jsonAnswer(200, {
      streamAccess: {
        endpoint: settings.streamPath,
        token,
        expiresIn: settings.tokenSaysLifetime === 0 ? settings.tokenLifetime : settings.tokenSaysLifetime,
        tokenHeader: settings.tokenHeader,
      },
      meta: { generatedAt: new Date(nowMs).toISOString() },
    });
  }

  accepts(settings: SimulatorSettings, req: IncomingMessage): boolean {
    const token = req.headers[settings.tokenHeader.toLowerCase()];
    if (settings.tokensRejected || typeof token !== 'string') return false;
    return (this.expiresAtMs.get(token) ?? 0) > Date.now();
  }
}

/** The headers that the live service was seen to require: few of most users, all of them of some. */
function looksLikeDashboard(settings: SimulatorSettings, req: IncomingMessage, key: string): boolean {
  const { headers } = req;
  if (!(headers['content-type'] ?? '').startsWith('application/json')) return false;
  if (!(headers['user-agent'] ?? '').startsWith('Mozilla/')) return false;
  if (settings.dashboard === 'lenient') return true;
  const origin = `http://${headers.host ?? ''}`;
  const cookies = (headers.cookie ?? '').split(/;\s*/);
  return (
    headers.origin === origin &&
    (headers.referer ?? '').startsWith(`${origin}/`) &&
    headers['sec-fetch-site'] === 'same-origin' &&
    headers['x-requested-with'] === 'XMLHttpRequest' &&
    cookies.includes(`dashboard_api_key=${key}`)
  );
}
