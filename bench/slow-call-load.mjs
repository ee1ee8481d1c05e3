// The load of `npm run bench:slow`: the failure matrix's open-loop load, in a separate process.
import { setTimeout as delay } from 'node:timers/promises'
import { FlowLoad } from '../conformance/rig/flow-load.ts'
import { answerCalls } from './worker.mjs'

const CLIENTS = ['cam1', 'cam2', 'cam3', 'cam4']
const MODEL = 'echo'
const OPEN_FLOW = 1
// So long that no waiting request expires: expired requests would make a stalled connector appear to catch up.
const EXPIRY_SECONDS = 86_400

let load
const ranges = {}

answerCalls({
  async connect({ port, rate }) {
    const common = { model: MODEL, expirySeconds: EXPIRY_SECONDS }
    load = await FlowLoad.start({
      port,
      flows: [
        { ...common, name: 'load', clients: CLIENTS, perSecond: rate },
        {
          ...common,
          name: 'open',
          clients: CLIENTS.slice(0, 1),
          perSecond: 0,
          odd: { body: '{"open":true}', every: 1 },
        },
      ],
    })
  },
  /** Sends the request that stays open. */
  open: () => load.send(OPEN_FLOW),
  /**
   * Sends requests for this many seconds.
   * @returns the answers in each second, and the number of requests still open
   */
  async ask({ phase, seconds }) {
    const from = load.sent
    const startedAtMs = performance.now()
    const perSecond = []
    load.begin()
    for (let second = 1; second <= seconds; second++) {
      const before = load.answered
      await delay(startedAtMs + second * 1000 - performance.now())
      perSecond.push(load.answered - before)
    }
    load.stop()
    ranges[phase] = [from, load.sent]
    return { perSecond, unansweredAtEnd: load.unanswered }
  },
  /** Waits until all requests except the open one are answered, or until no answer has arrived for `quietMs`. */
  settle: ({ quietMs }) => load.settle(quietMs),
  /**
   * Returns the latencies of each phase, including late answers. Call this last, because sorting would disturb a
   * running phase.
   */
  report() {
    const phases = Object.fromEntries(
      Object.entries(ranges).map(([phase, range]) => [phase, load.report('load', range)]),
    )
    const { duplicates, crossed, phantom, lagP99Ms } = load
    return { phases, secondReplies: duplicates, wrongAnswers: crossed + phantom, lagP99Ms }
  },
})
