import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { requireBinary } from './require-binary.ts';

/** Starts the Chromium of this machine, without a window; whoever starts it closes it. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: requireBinary('chromium'),
    // Its own sandbox does not start for root, nor where user namespaces are forbidden.
    chromiumSandbox: false,
    args: ['--disable-dev-shm-usage'],
  });
}

/** A page, and everything that it has complained of. */
export interface OpenedPage {
  readonly page: Page;
  /** Errors and warnings of its console, scripts that failed, violations of its policy, dialogs. */
  readonly complaints: readonly string[];
  readonly close: () => Promise<void>;
}

/** A page of its own, with nothing stored. */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<OpenedPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    // Violations of the policy are among the errors.
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('requestfailed', (request) => {
    // A stream ends with its page.
    if (!request.url().includes('/events')) complaints.push(`failed: ${request.url()}`);
  });
  await page.goto(url);
  return { page, complaints, close: () => context.close() };
}
