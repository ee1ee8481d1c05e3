// Rows with many clients, or with clients that send too much, do not read, or send duplicates.
import { RawClient } from '../../rig/raw-client.ts'
import { FlowLoad, type Flow } from '../../rig/flow-load.ts'
import { amountOf, Findings, type Row } from '../row.ts'
import { onStage, until, type Stage } from '../stage.ts'
import { startWorld, watchCpu } from '../world.ts'

const SLOW = 'slow-20'
const BACKLOG_BYTES_MAX = 1_000_000

function clients(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${name}-${index}`)
}

/** One client sends about as many requests as all others together. */
export const loudClient: Row = {
  name: 'loud-client',
  what: 'one client sends 100 times as many requests as each of 99 others; the total exceeds the capacity',
  criterion:
    ">= 95 % of the others' requests answered with 200, and their p99 <= 2 times that without the loud client; 0 unanswered requests",
  fullSeconds: 200,
  isTimed: true,
  run: (options) =>
    onStage(async (stage) => {
      const { say } = options
      const seconds = amountOf(options, 120, 10)
      const findings = new Findings()
      const world = await startWorld(stage, { models: { [SLOW]: { limits: { concurrency: 4 } } } })
      const quiet: Flow = { name: 'quiet', clients: clients('quiet', 99), model: SLOW, perSecond: 119 }
      const loud: Flow = { name: 'loud', clients: ['loud'], model: SLOW, perSecond: 0 }
      const load = await FlowLoad.start({ port: world.broker.port, flows: [quiet, loud] })
      stage.later(() => load.close())
      const alone = load.report('quiet', await load.runFor(amountOf(options, 60, 6) * 1000))
      await load.settle()
      say(`without the loud client: p99 ${alone.okP99Ms.toFixed(0)} ms`)
      loud.perSecond = 120
      const tellCpu = watchCpu(stage, world)
      const phase = await load.runFor(seconds * 1000)
      tellCpu(findings)
      await load.settle(40_000)
      const beside = load.report('quiet', phase)
      const before = load.report('quiet', [0, phase[0]])
      const share = beside.ok / beside.requests
      findings.ran('seconds', seconds, 120)
      findings.figure('others_requests', beside.requests)
      findings.figure('others_ok_share', share)
      findings.figure('others_p99_ms', beside.okP99Ms)
      findings.figure('others_p99_alone_ms', before.okP99Ms)
      findings.figure('loud_ok', `${load.report('loud', phase).ok} of ${load.report('loud', phase).requests}`)
      findings.figure('unanswered', load.unanswered)
      findings.check(
        share >= 0.95,
        `${(share * 100).toFixed(1)} % of the others' requests were answered with 200`,
      )
      findings.checkTime(
        beside.okP99Ms <= 2 * before.okP99Ms,
        `the others' p99 is ${beside.okP99Ms.toFixed(0)} ms; without the loud client, it was ${before.okP99Ms.toFixed(0)} ms`,
      )
      findings.check(load.unanswered === 0, `${load.unanswered} requests are unanswered`)
      return findings.result
    }),
}

/** All clients connect at the same time, and again after the broker restarts. */
export const connectStorm: Row = {
  name: 'connect-storm',
  what: '10,000 clients (--quick: 1,000) are connected; the broker restarts; all clients reconnect and send at once; 150 requests/s',
  criterion: 'connector and clients ready < 30 s after the restart; 0 unanswered requests, 0 errors',
  fullSeconds: 120,
  isTimed: true,
  run: ({ quick, say }) =>
    onStage(async (stage) => {
      const findings = new Findings()
      const count = quick ? 1_000 : 10_000
      const { broker, connector } = await startWorld(stage, {
        // The queue can hold a request from each client: the row tests connections, not the queue.
        models: { iris: { limits: { queueDepthMax: 2 * count, queueWaitMaxMs: 30_000 } } },
        broker: { config: ['max_queued_messages 0'] },
      })
      const flow: Flow = { name: 'all', clients: clients('cam', count), model: 'iris', perSecond: 150 }
      const startedAtMs = performance.now()
      const load = await FlowLoad.start({ port: broker.port, flows: [flow] })
      stage.later(() => load.close())
      const connectMs = performance.now() - startedAtMs
      say(`${count} clients connected and subscribed after ${(connectMs / 1000).toFixed(1)} s`)
      load.begin()
      await until(() => load.answered > 300, 20_000)
      const readyBefore = connector.count('session_ready')
      await broker.stop('SIGTERM')
      const restartedAtMs = performance.now()
      await broker.start()
      await until(() => connector.count('session_ready') > readyBefore, 60_000)
      const connectorMs = performance.now() - restartedAtMs
      // Each client sends one request, now or after it has reconnected.
      const burst: readonly [number, number] = [load.sent, load.sent + count]
      for (let client = 0; client < count; client++) load.send(0)
      await until(() => load.report('all', burst).unanswered === 0, 60_000, 200)
      const clientsMs = performance.now() - restartedAtMs
      const bursted = load.report('all', burst)
      say(
        `after the restart: connector ready in ${connectorMs.toFixed(0)} ms, every client answered in ${clientsMs.toFixed(0)} ms`,
      )
      await until(() => load.sent > burst[1] + 1_000, 30_000)
      load.stop()
      await load.settle()
      const report = load.report()
      findings.figure('clients', count)
      findings.figure('connector_ready_again_s', connectorMs / 1000)
      findings.figure('clients_ready_again_s', clientsMs / 1000)
      findings.figure('answers_after_restart_p50_s', bursted.okP50Ms / 1000)
      findings.figure('answers_after_restart_p99_s', bursted.okP99Ms / 1000)
      findings.figure('connections', load.connections)
      findings.figure('requests', report.requests)
      findings.figure('errors', JSON.stringify(report.errors))
      findings.figure('unanswered', report.unanswered)
      findings.figure('left_in_doubt', load.abandoned)
      findings.figure('not_taken_by_broker', load.unacknowledged)
      findings.figure(
        'replies_without_subscriber',
        await connector.metric('inferwire_replies_without_subscriber_total'),
      )
      findings.figure('sessions_lost', connector.count('session_lost'))
      findings.checkTime(
        connectorMs < 30_000,
        `the connector took ${(connectorMs / 1000).toFixed(1)} s to be ready`,
      )
      findings.checkTime(
        clientsMs < 30_000,
        `the clients took ${(clientsMs / 1000).toFixed(1)} s to reconnect`,
      )
      findings.check(report.unanswered <= load.abandoned, `${report.unanswered} requests are unanswered`)
      findings.check(
        report.ok + report.unanswered === report.requests,
        `errors ${JSON.stringify(report.errors)}`,
      )
      return findings.result
    }),
}

/** One of a hundred clients sends requests but never reads. */
export const slowSubscribers: Row = {
  name: 'slow-subscribers',
  what: 'one of 100 clients requests 50 answers of 20 kB per second, and never reads from its socket',
  criterion:
    "the others' p99 rises by at most 10 %, and all of their requests are answered; memory <= 1.5 times that without this client; 0 requests remain unacknowledged",
  fullSeconds: 220,
  isTimed: true,
  run: (options) =>
    onStage(async (stage) => {
      const { say } = options
      const findings = new Findings()
      const { broker, connector } = await startWorld(stage, { models: { iris: {}, echo: {} } })
      const flow: Flow = { name: 'others', clients: clients('cam', 99), model: 'iris', perSecond: 150 }
      const load = await FlowLoad.start({ port: broker.port, flows: [flow] })
      stage.later(() => load.close())
      const seconds = amountOf(options, 100, 8)
      const quietPhase = await load.runFor(seconds * 1000)
      await load.settle()
      const quiet = load.report('others', quietPhase)
      const quietMb = connector.memory().peakMb
      say(`without this client: p99 ${quiet.okP99Ms.toFixed(1)} ms, ${quietMb.toFixed(0)} MB`)
      const deaf = await startDeafClient(stage, broker.port, 50)
      const phase = await load.runFor(seconds * 1000)
      await load.settle()
      const beside = load.report('others', phase)
      deaf.stop()
      await until(async () => (await connector.metric('inferwire_unacknowledged_requests')) === 0, 10_000)
      const held = await connector.metric('inferwire_unacknowledged_requests')
      const { peakMb } = connector.memory()
      findings.ran('seconds', seconds, 100)
      findings.figure('others_p99_ms', beside.okP99Ms)
      findings.figure('others_p99_alone_ms', quiet.okP99Ms)
      findings.figure('others_p50_ms', beside.okP50Ms)
      findings.figure('others_p50_alone_ms', quiet.okP50Ms)
      findings.figure('deaf_requests', deaf.sent)
      findings.figure('rss_ratio', peakMb / quietMb)
      findings.figure('unanswered', load.unanswered)
      findings.figure('held', held)
      findings.checkTime(
        beside.okP99Ms <= 1.1 * quiet.okP99Ms,
        `the others' p99 is ${beside.okP99Ms.toFixed(1)} ms; without this client, it was ${quiet.okP99Ms.toFixed(1)} ms`,
      )
      findings.check(load.unanswered === 0, `${load.unanswered} requests are unanswered`)
      findings.check(held === 0, `${held} unacknowledged requests`)
      findings.check(beside.ok === beside.requests, `errors ${JSON.stringify(beside.errors)}`)
      findings.check(
        peakMb <= 1.5 * quietMb,
        `memory is ${(peakMb / quietMb).toFixed(2)} times that without this client`,
      )
      return findings.result
    }),
}

/** Clients send each request three times. */
export const duplicates: Row = {
  name: 'duplicates',
  what: 'clients send each request three times with the same Correlation Data; 100 requests/s',
  criterion: '0 extra calls in one process; every copy is answered; 0 unanswered requests',
  fullSeconds: 70,
  isTimed: false,
  run: (options) =>
    onStage(async (stage) => {
      const seconds = amountOf(options, 60, 3)
      const findings = new Findings()
      const { broker, upstream, connector } = await startWorld(stage, { models: { [SLOW]: {} } })
      const flow: Flow = { name: 'all', clients: clients('cam', 20), model: SLOW, perSecond: 100, copies: 3 }
      const load = await FlowLoad.start({ port: broker.port, flows: [flow] })
      stage.later(() => load.close())
      await load.runFor(seconds * 1000)
      await load.settle()
      await until(() => load.replies === 3 * load.sent, 10_000)
      const report = load.report()
      const calls = await upstream.calls(SLOW)
      const known = await connector.metric('inferwire_duplicate_requests_total')
      findings.ran('seconds', seconds, 60)
      findings.figure('requests', report.requests)
      findings.figure('publishes', 3 * report.requests)
      findings.figure('replies', load.replies)
      findings.figure('calls', calls)
      findings.figure('extra_calls', calls - report.requests)
      findings.figure('unanswered', report.unanswered)
      findings.check(calls === report.requests, `${calls} calls for ${report.requests} requests`)
      findings.check(report.ok === report.requests, `${report.ok} requests were answered with 200`)
      findings.check(load.replies === 3 * report.requests, `${load.replies} replies`)
      findings.check(known === 2 * report.requests, `${known} requests were counted as duplicates`)
      return findings.result
    }),
}

// Starts a client that sends requests and never reads: its replies fill the socket, and then wait in the broker.
async function startDeafClient(
  stage: Stage,
  port: number,
  perSecond: number,
): Promise<{ readonly sent: number; stop(): void }> {
  const client = new RawClient(
    { port, name: 'deaf' },
    { replied: () => {}, acknowledged: () => {}, abandoned: () => {} },
  )
  stage.later(() => client.close())
  await client.start()
  client.stopReading()
  const pad = 'x'.repeat(20_000)
  let sent = 0
  const timer = setInterval(() => {
    sent += 1
    // The broker stops reading from a client that does not read its PUBACKs, so unsent requests pile up in this
    // process.
    if (client.backlogBytes >= BACKLOG_BYTES_MAX) return
    client.publish(sent, {
      topic: 'infer/request/deaf/echo/predict',
      correlation: Buffer.from(String(sent)),
      expirySeconds: 60,
      userProperties: [],
      payload: `{"instances":[${sent}],"pad":"${pad}"}`,
    })
  }, 1000 / perSecond)
  stage.later(() => clearInterval(timer))
  return {
    get sent() {
      return sent
    },
    stop: () => {
      clearInterval(timer)
      client.close()
    },
  }
}
