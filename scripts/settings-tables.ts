/** The table of settings as documents show it: Markdown tables and `.env.example`. Pure text. */
import { SETTINGS, type Setting, type SettingGroup } from '../src/core/settings-table.ts';

const GROUP_TITLES: Readonly<Record<SettingGroup, string>> = {
  source: 'Source',
  database: 'Database',
  speed: 'Speed and memory',
  run: 'What a run takes and does',
  follow: 'Following',
  limits: 'Limits',
  network: 'Network',
  serving: 'Live page, metrics and health',
  output: 'Output',
};

/** Defaults that depend on the machine; documents must not. */
const MACHINE_DEFAULTS: Readonly<Record<string, string>> = { threads: 'the cores' };

/** One Markdown table for each group, under headings of `level`. */
export function settingsByGroup(level: number): string {
  return groups()
    .map(({ title, settings }) => `${'#'.repeat(level)} ${title}\n\n${settingsTable(settings)}`)
    .join('\n\n');
}

/** One table of the named settings, in the order given. @throws Error for an unknown name */
export function settingsNamed(names: readonly string[]): string {
  return settingsTable(
    names.map((name) => {
      const setting = SETTINGS.find((candidate) => candidate.name === name);
      if (setting === undefined) throw new Error(`there is no setting ${name}`);
      return setting;
    }),
  );
}

/** `.env.example`: every variable with its default, commented out but for the key. */
export function envExample(): string {
  const lines = [
    '# Copy this file to .env. It is read by npm start, by Docker Compose, run-ingestion.sh and submit.sh.',
    '# A flag wins over a variable of the shell, that over this file, and this file over the default shown.',
    '',
    'TARGET_API_KEY=your_api_key_here',
  ];
  for (const { title, settings } of groups()) {
    lines.push('', `# --- ${title}`);
    for (const setting of settings) lines.push(...envLines(setting));
  }
  return `${lines.join('\n')}\n`;
}

function groups(): { title: string; settings: readonly Setting[] }[] {
  return Object.entries(GROUP_TITLES).map(([group, title]) => ({
    title,
    settings: SETTINGS.filter((setting) => setting.group === group),
  }));
}

function settingsTable(settings: readonly Setting[]): string {
  const rows = settings.map((setting) => {
    const flag = setting.variableOnly ? '' : code(setting.flag);
    return [flag, code(setting.variable), describeDefault(setting), setting.text].map(cell).join(' | ');
  });
  return ['flag | variable | default | what it does', '--- | --- | --- | ---', ...rows]
    .map((row) => `| ${row} |`)
    .join('\n');
}

function describeDefault(setting: Setting): string {
  if (setting.isSwitch) return 'off';
  const value = MACHINE_DEFAULTS[setting.name] ?? (setting.default === undefined ? '' : code(setting.default));
  // A default like 96MiB says its unit itself.
  const isNumber = setting.default !== undefined && /^\d+$/.test(setting.default);
  return isNumber && setting.name !== 'threads' ? `${value} ${setting.unit ?? ''}`.trim() : value;
}

function envLines(setting: Setting): string[] {
  if (setting.variable === 'TARGET_API_KEY') return [];
  const unit = setting.unit === undefined ? '' : ` (${setting.unit})`;
  const value = MACHINE_DEFAULTS[setting.name] === undefined ? (setting.default ?? '') : '';
  return [`# ${setting.text}${unit}`, `#${setting.variable}=${value}`];
}

function code(text: string): string {
  return `\`${text}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
