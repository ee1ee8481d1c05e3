// Counts the generations of all language models, for `/metrics` and the log.

/** How a generation ended: `refused` = the prompt was rejected before the first token. */
export type Outcome = 'finished' | 'cancelled' | 'failed' | 'refused'

const OUTCOMES: readonly Outcome[] = ['finished', 'cancelled', 'failed', 'refused']

/** Figures of one model's generations. */
export interface Figures {
  running: number
  tokens: number
  readonly ended: Record<Outcome, number>
}

/** A generation that is counted as running until `end` is called. */
export interface RunningGeneration {
  /** Number of tokens so far. */
  readonly tokens: number
  add(tokens: number): void
  /** Further calls have no effect. */
  end(outcome: Outcome, error?: unknown): void
}

/** The figures of all models. The number of models is fixed at the start. */
export class Generations {
  readonly #models: ReadonlyMap<string, Figures>
  readonly #log: (line: string) => void

  /** @param log receives one line for each cancelled or failed generation */
  constructor(models: Iterable<string>, log: (line: string) => void) {
    this.#models = new Map(Array.from(models, (name) => [name, emptyFigures()]))
    this.#log = log
  }

  /** Returns the live figures of a model. */
  of(model: string): Readonly<Figures> {
    return this.#of(model)
  }

  /** Counts a generation as running. */
  begin(model: string): RunningGeneration {
    const figures = this.#of(model)
    const log = this.#log
    figures.running++
    let tokens = 0
    let isRunning = true
    return {
      get tokens() {
        return tokens
      },
      add(count) {
        tokens += count
        figures.tokens += count
      },
      end(outcome, error) {
        if (!isRunning) return
        isRunning = false
        figures.running--
        figures.ended[outcome]++
        if (outcome === 'cancelled') {
          log(`${model}: stopped after ${tokens} tokens, because the client closed its connection`)
        } else if (outcome === 'failed') {
          log(`${model}: failed after ${tokens} tokens: ${String(error)}`)
        }
      },
    }
  }

  #of(model: string): Figures {
    const figures = this.#models.get(model)
    if (figures === undefined) throw new RangeError(`"${model}" is not a language model of this server.`)
    return figures
  }

  /** Returns the figures in the Prometheus text format, version 0.0.4. */
  toPrometheus(): string {
    const models = [...this.#models]
    return [
      ...metric(
        'model_server_generations_running',
        'gauge',
        'Generations that are running.',
        models.map(([model, { running }]) => sampleOf({ model }, running)),
      ),
      ...metric(
        'model_server_generations_total',
        'counter',
        'Generations that have ended, by outcome.',
        models.flatMap(([model, { ended }]) =>
          OUTCOMES.map((outcome) => sampleOf({ model, outcome }, ended[outcome])),
        ),
      ),
      ...metric(
        'model_server_generated_tokens_total',
        'counter',
        'Generated tokens.',
        models.map(([model, { tokens }]) => sampleOf({ model }, tokens)),
      ),
      '',
    ].join('\n')
  }
}

function metric(name: string, type: string, help: string, samples: readonly string[]): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples.map((sample) => name + sample)]
}

// Model names contain no character that must be escaped in the text format.
function sampleOf(labels: Readonly<Record<string, string>>, value: number): string {
  const pairs = Object.entries(labels).map(([name, text]) => `${name}="${text}"`)
  return `{${pairs.join(',')}} ${value}`
}

function emptyFigures(): Figures {
  return { running: 0, tokens: 0, ended: { finished: 0, cancelled: 0, failed: 0, refused: 0 } }
}
