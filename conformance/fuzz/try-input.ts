// Runs a target with one input and reports the outcome.
import { readFileSync } from 'node:fs'
import { shapeOf, Wrong, type FuzzTarget } from './target.ts'

/** A fault that an input reveals. */
export interface Finding {
  readonly kind: 'wrong' | 'exception' | 'hang' | 'pollution'
  /** A sentence, followed by the stack if there is one. */
  readonly text: string
  /** Identifies the fault: inputs that reveal the same fault have the same signature. */
  readonly signature: string
}

/** Outcome of one input. */
export type Outcome = { readonly label: string } | Finding

/** CPU time in milliseconds above which an input is a finding. */
const HANG_MS = 100
const HANG_TRIES = 3

/**
 * Runs the target once, or a few times if it was slow. Never throws.
 * @param hasStack whether errors have a stack. Most inputs end in an allowed error, and creating the stack is half of
 *   an error's cost.
 */
export async function tryInput(target: FuzzTarget, input: Buffer, hasStack = true): Promise<Outcome> {
  const startedAtMs = performance.now()
  const { stackTraceLimit } = Error
  let label: string
  try {
    if (!hasStack) Error.stackTraceLimit = 0
    const answer = target.run(input)
    label = typeof answer === 'string' ? answer : await answer
  } catch (error) {
    return failed(error)
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
  if (performance.now() - startedAtMs > HANG_MS) {
    const cpuMs = await leastCpuMs(target, input)
    if (cpuMs > HANG_MS) {
      return finding(
        'hang',
        `took ${Math.round(cpuMs)} ms of CPU time, the minimum of ${HANG_TRIES} tries`,
        'slow',
      )
    }
  }
  return pollution() ?? { label }
}

// Garbage collection and other programs slow down single runs, but not all of them.
async function leastCpuMs(target: FuzzTarget, input: Buffer): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < HANG_TRIES && least > HANG_MS; attempt++) {
    const startedAtMs = threadCpuMs()
    await target.run(input)
    least = Math.min(least, threadCpuMs() - startedAtMs)
  }
  return least
}

// Returns the CPU time of this thread. Node.js 20 does not provide this time, so it is read from the kernel. If
// the kernel does not provide it either, returns the elapsed time.
function threadCpuMs(): number {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ', 1)[0]) / 1e6
  } catch {
    return performance.now()
  }
}

function failed(error: unknown): Finding {
  const kind = error instanceof Wrong ? 'wrong' : 'exception'
  if (!(error instanceof Error)) return finding(kind, `threw ${String(error)}`, 'not an error')
  return finding(kind, error.stack ?? error.message, shapeOf(error.message))
}

function finding(kind: Finding['kind'], text: string, detail: string): Finding {
  return { kind, text, signature: `${kind} ${detail}` }
}

const WATCHED = [Object.prototype, Array.prototype] as const
const CLEAN = WATCHED.map(
  (prototype) => new Map(Reflect.ownKeys(prototype).map((key) => [key, ownValue(prototype, key)])),
)

function ownValue(prototype: object, key: PropertyKey): unknown {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, key)
  return descriptor === undefined ? undefined : (descriptor.value as unknown)
}

function pollution(): Finding | undefined {
  for (const [index, prototype] of WATCHED.entries()) {
    const clean = CLEAN[index]!
    // Counting members is cheap enough to be done in every run. A replaced member is detected only in Object.prototype.
    const keys = Reflect.ownKeys(prototype)
    const isChanged =
      keys.length !== clean.size || (index === 0 && keys.some((key) => !isSame(prototype, key, clean)))
    if (isChanged) return cleaned(prototype, clean)
  }
  return undefined
}

function isSame(prototype: object, key: PropertyKey, clean: ReadonlyMap<PropertyKey, unknown>): boolean {
  return clean.has(key) && ownValue(prototype, key) === clean.get(key)
}

// Restores the prototype, so that the following inputs are judged independently.
function cleaned(prototype: object, clean: ReadonlyMap<PropertyKey, unknown>): Finding {
  const added = Reflect.ownKeys(prototype).filter((key) => !isSame(prototype, key, clean))
  for (const key of added) if (!clean.has(key)) Reflect.deleteProperty(prototype, key)
  return finding('pollution', `changed a built-in prototype: ${added.map(String).join(', ')}`, 'prototype')
}
