import type { ColumnPlan } from '../../core/column-plan.ts';

/** Events of DataSync, whose spelling differs from one deployment to the next. */
export const DATASYNC_PLAN: ColumnPlan = {
  envelope: 'read',
  // A page may be wrapped in a `data` of its own.
  records: [
    { path: ['data'], rank: 2 },
    { path: ['events'], rank: 1 },
    { path: ['data', 'data'], rank: 2 },
    { path: ['data', 'events'], rank: 1 },
    { path: ['events', 'data'], rank: 2 },
    { path: ['events', 'events'], rank: 1 },
  ],
  id: { name: 'id', type: { decidedBy: 'id' }, path: ['id'], aliases: [['eventId'], ['event_id']] },
  columns: [
    {
      name: 'session_id',
      type: { decidedBy: 'sessionId' },
      isLenient: true,
      path: ['sessionId'],
      repeatedAt: ['session', 'id'],
    },
    { name: 'user_id', type: { decidedBy: 'userId' }, isLenient: true, path: ['userId'] },
    { name: 'type', type: 'text', isLenient: true, path: ['type'], aliases: [['eventType'], ['event_type']] },
    { name: 'name', type: 'text', isLenient: true, path: ['name'] },
    { name: 'properties', type: 'jsonb', path: ['properties'] },
    { name: 'occurred_at', type: 'timestamptz', path: ['timestamp'], aliases: [['occurredAt'], ['occurred_at']] },
    { name: 'device_type', type: 'text', isLenient: true, path: ['session', 'deviceType'] },
    { name: 'browser', type: 'text', isLenient: true, path: ['session', 'browser'] },
  ],
  time: 'occurred_at',
  version: 'occurred_at',
};
