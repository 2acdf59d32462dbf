import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';

/** Preloaded into the guard: SIGUSR2 begins a profile, a second one writes it to that file. */
const file = process.env['PROFILE_FILE'] ?? '';
const session = new Session();
session.connect();
await session.post('Profiler.enable');
await session.post('Profiler.setSamplingInterval', { interval: 250 });
let running = false;

async function toggle(): Promise<void> {
  running = !running;
  if (running) {
    await session.post('Profiler.start');
    return;
  }
  const { profile } = await session.post('Profiler.stop');
  writeFileSync(file, JSON.stringify(profile));
}

process.on('SIGUSR2', () => void toggle());
