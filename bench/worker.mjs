// Worker processes of the benchmark. Each call names a method of the worker, and gets one answer. Each worker can
// use its own core.
import { start } from './child.mjs'

/** Arguments of Node.js for a worker that imports TypeScript files of conformance/. */
export const TYPESCRIPT = ['--conditions=source', '--import', './scripts/typescript.mjs']

/**
 * Starts a worker process. `file` is in this folder, and uses `answerCalls`.
 * @returns what `start` returns, and `call(name, argument)`, which rejects if the call fails or the process ends
 */
export function startWorker(name, file, nodeArguments = []) {
  const worker = start(name, process.execPath, [...nodeArguments, file], { hasChannel: true })
  const waiting = new Map()
  let lastId = 0
  worker.child.on('message', ({ id, value, error }) => {
    const { resolve, reject } = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) resolve(value)
    else reject(new Error(`${name}: ${error}`))
  })
  void worker.exited.then((how) => {
    for (const { reject } of waiting.values()) reject(new Error(`${name}: ${how}\n${worker.logTail()}`))
    waiting.clear()
  })
  const call = (method, argument) =>
    new Promise((resolve, reject) => {
      const id = ++lastId
      waiting.set(id, { resolve, reject })
      // A worker that has already exited cannot receive the call, and does not emit another exit event.
      worker.child.send({ id, method, argument }, (error) => {
        if (error) reject(new Error(`${name}: ${error.message}\n${worker.logTail()}`))
      })
    })
  return { ...worker, call }
}

/** Answers calls from the parent process, and exits when the parent exits. */
export function answerCalls(methods) {
  const answer = async ({ id, method, argument }) => {
    try {
      process.send({ id, value: await methods[method](argument) })
    } catch (error) {
      process.send({ id, error: error.stack })
    }
  }
  process.on('message', (call) => void answer(call))
  process.on('disconnect', () => process.exit())
}
