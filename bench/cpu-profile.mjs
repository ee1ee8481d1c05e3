// Reads a .cpuprofile, and sums the self times within a window, for each function and for each part of the program.
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ROOT } from './paths.mjs'

/**
 * Returns the self times within a window.
 * @param {object} profile as V8 writes it: `nodes` and `samples`, and for each sample the time in µs since the previous
 *   one
 * @param {[number, number]} window start and end, in µs of the monotonic clock
 * @returns {{ busyUs: number, functions: Map<string, number>, parts: Map<string, number> }} self times in µs, excluding
 *   idle time; functions are keyed by `name file:line`
 */
export function selfTimes({ nodes, samples, timeDeltas, startTime }, [from, to]) {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, place(callFrame)]))
  const functions = new Map()
  const parts = new Map()
  let at = startTime
  let busyUs = 0
  samples.forEach((id, index) => {
    at += timeDeltas[index]
    // A sample represents the time until the next sample.
    const us = Math.max(0, timeDeltas[index + 1] ?? 0)
    const { name, part } = places.get(id)
    if (at < from || at >= to || name === '(idle)') return
    busyUs += us
    functions.set(name, (functions.get(name) ?? 0) + us)
    parts.set(part, (parts.get(part) ?? 0) + us)
  })
  return { busyUs, functions: descending(functions), parts: descending(parts) }
}

function place({ functionName, url, lineNumber }) {
  if (url === '') {
    const isState = functionName.startsWith('(')
    return {
      name: functionName || '(anonymous built-in)',
      part: isState ? functionName : 'built-in (system calls, buffers)',
    }
  }
  const path = url.startsWith('file:') ? relative(ROOT, fileURLToPath(url)) : url
  return { name: `${functionName || '(anonymous)'} ${path}:${lineNumber + 1}`, part: partOf(path) }
}

// packages/connector/dist/session/x.js -> connector/session; node_modules/undici/lib/x.js -> undici; node:net -> node:net
function partOf(path) {
  const [, library] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path) ?? []
  if (library !== undefined) return library
  const [, ours, inside] = /^packages\/([^/]+)\/dist\/(.+)\.js$/.exec(path) ?? []
  return ours === undefined ? path : `${ours}/${inside.split('/')[0]}`
}

function descending(times) {
  return new Map([...times].sort(([, a], [, b]) => b - a))
}
