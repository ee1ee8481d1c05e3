// The commands of a page, line by line as they are printed, in a copy of what they touch.
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { INFERWIRE } from '../fixtures/inferwire.ts'
import { blocksOf, ROOT } from '../fixtures/page-blocks.ts'
import { shell, type CommandResult } from '../fixtures/processes.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

/** A printed line. */
export interface PageCommand {
  readonly line: string
  /** What is typed when it asks. */
  readonly input: string
  /** What the page says that it prints, if the page does. */
  readonly output: string | undefined
}

const COMMAND_TIMEOUT_MS = 300_000
// Traefik takes up a new route within two seconds, and a reader who was faster asks again.
const PREDICTION = /^(?:mosquitto_rr|npx inferwire infer)\b/
const TRIES_MAX = 10
const PAUSE_MS = 1_000

/** Of the blocks marked `cluster`, or `cluster, asked: WORDS`: two words for each command that asks for a password. */
export function commandsOf(page: string): PageCommand[] {
  return blocksOf(page)
    .filter(({ mark }) => /^cluster\b/.test(mark))
    .flatMap(({ mark, text, output }) => {
      const words = /asked: (.*)/.exec(mark)?.[1]?.split(' ') ?? []
      const lines = text.trim().split('\n')
      return lines.map((line, index) => ({
        line,
        input: line.startsWith('mosquitto_passwd') ? `${words.splice(0, 2).join('\n')}\n` : '',
        output: index === lines.length - 1 ? output?.trim() : undefined,
      }))
    })
}

/** One reader, who types one line after the other. */
export class PageReader {
  readonly folder = tempFolder('guide')
  readonly #env: Readonly<Record<string, string>>
  // A line in a shell of its own would forget them.
  readonly #assignments: string[] = []

  constructor(env: Readonly<Record<string, string>>) {
    this.#env = env
    cpSync(join(ROOT, 'resources'), join(this.folder, 'resources'), { recursive: true })
  }

  /** Runs a line. `npx inferwire` is the command of this checkout; npx would find the same one more slowly. */
  async type(line: string, input = ''): Promise<CommandResult> {
    if (/^[A-Z]+=/.test(line)) this.#assignments.push(line)
    const own = line.replaceAll(/\bnpx inferwire /g, `'${process.execPath}' '${INFERWIRE}' `)
    for (let tries = PREDICTION.test(line) ? TRIES_MAX : 1; ; tries--) {
      const ended = await shell([...this.#assignments, own].join('\n'), {
        cwd: this.folder,
        env: this.#env,
        input,
        timeoutMs: COMMAND_TIMEOUT_MS,
      })
      if (ended.code === 0 || tries === 1) return ended
      await delay(PAUSE_MS)
    }
  }
}
