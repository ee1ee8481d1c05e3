// Rows for the connector's process and session: requests that kill the process, a second client that takes over the
// session, a retained request when the connector subscribes again, and killed replicas.
import { fileURLToPath } from 'node:url'
import type { ConfigInput } from '@inferwire/connector'
import { ConnectorProcess } from '../../rig/connector-process.ts'
import { Proxy } from '../../rig/proxy.ts'
import { TestClient } from '../../fixtures/mqtt-client.ts'
import { startMosquitto } from '../../fixtures/mosquitto.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { FlowLoad, type Flow } from '../../rig/flow-load.ts'
import { amountOf, Findings, type Row } from '../row.ts'
import { onStage, pause, until, type Stage } from '../stage.ts'
import { ModelServerProcess } from '../../rig/model-server-process.ts'
import { startWorld } from '../world.ts'

const ENDS_THE_PROCESS = fileURLToPath(new URL('../../fixtures/ends-the-process.mjs', import.meta.url))
const POISON = '{"instances":["ends-the-process"]}'
const CLIENTS = Array.from({ length: 10 }, (_, index) => `cam-${index}`)

/** Tests requests that kill the process. */
export const poison: Row = {
  name: 'poison',
  what: '1 request of 1,000 (--quick: of 300) kills the process when it is sent to the model; the process is restarted',
  criterion:
    'each of these requests is tried 3 times, answered with `internal` and set aside; all others are answered with 200',
  fullSeconds: 330,
  isTimed: false,
  run: (options) =>
    onStage(async (stage) => {
      const { quick, say } = options
      const findings = new Findings()
      const upstream = await ModelServerProcess.start()
      stage.later(() => upstream.end())
      const broker = await startMosquitto({ isInMemory: true })
      stage.later(() => broker.stop('SIGKILL'))
      const connector = await ConnectorProcess.create(
        {
          name: 'poisoned',
          broker: { url: broker.url },
          models: { 'slow-20': { url: upstream.url, protocolVersion: 'v1' } },
        },
        { nodeArguments: [`--import=${ENDS_THE_PROCESS}`], env: { ENDS_AT_PORT: String(upstream.port) } },
      )
      stage.later(() => connector.end())
      await connector.startReady()
      const every = quick ? 300 : 1_000
      const total = amountOf(options, 20_000, 600)
      const flow: Flow = {
        name: 'all',
        clients: CLIENTS,
        model: 'slow-20',
        perSecond: 80,
        expirySeconds: 600,
        odd: { body: POISON, every },
      }
      const load = await FlowLoad.start({ port: broker.port, flows: [flow] })
      stage.later(() => load.close())
      let deaths = 0
      let isOver = false
      const nurse = (async () => {
        while (!isOver) {
          await Promise.race([connector.ended(), until(() => isOver, 3_600_000)])
          if (isOver) return
          deaths += 1
          say(`death ${deaths} of the connector; ${load.answered} of ${load.sent} requests answered`)
          connector.start()
        }
      })()
      load.begin()
      await until(() => load.sent >= total, 3_600_000)
      load.stop()
      await load.settle(30_000)
      isOver = true
      await nurse
      const report = load.report()
      const poisoned = Math.floor(report.requests / every)
      const setAside = connector.count('request_set_aside')
      findings.figure('requests', report.requests)
      findings.ran('poisoned', poisoned, 20)
      findings.figure('deaths', deaths)
      findings.figure('set_aside', setAside)
      findings.figure('others_ok', report.ok)
      findings.figure('errors', JSON.stringify(report.errors))
      findings.figure('max_ms', report.maxMs)
      findings.figure('unanswered', report.unanswered)
      findings.check(report.unanswered === 0, `${report.unanswered} requests are unanswered`)
      findings.check(
        report.ok === report.requests - poisoned,
        `${report.requests - poisoned - report.ok} other requests were not answered with 200`,
      )
      findings.check(
        (report.errors['internal'] ?? 0) === poisoned,
        `${report.errors['internal'] ?? 0} requests were answered with internal`,
      )
      // A request that was set aside, but not acknowledged before the next kill, is set aside again.
      findings.check(setAside >= poisoned, `${setAside} requests were set aside`)
      // If two poisoned requests are in flight at the same time, one exit of the process may count for both.
      findings.check(deaths <= 3 * poisoned, `the process ended ${deaths} times`)
      return findings.result
    }),
}

/** Tests two connectors with the same client identifier. */
export const clientIdClash: Row = {
  name: 'client-id-clash',
  what: 'two connectors use the same client identifier for 60 s (--quick: 20 s) at 20 requests/s; then one stops',
  criterion: '<= 12 takeovers per minute; the error names the clash; 0 unanswered requests',
  fullSeconds: 110,
  isTimed: false,
  run: ({ quick }) =>
    onStage(async (stage) => {
      const findings = new Findings()
      const seconds = quick ? 20 : 60
      const { broker, upstream, connector } = await startWorld(stage, {
        models: { iris: {} },
        config: { broker: { clientId: 'twin' } },
      })
      const other = await ConnectorProcess.create({
        name: 'other',
        broker: { url: broker.url, clientId: 'twin' },
        // The second connector has its own state folder, as if it ran on a different machine.
        poison: { stateFolder: tempFolder('twin') },
        models: { iris: { url: upstream.url, protocolVersion: 'v1' } },
      })
      stage.later(() => other.end())
      const flow: Flow = { name: 'all', clients: CLIENTS, model: 'iris', perSecond: 20 }
      const load = await FlowLoad.start({ port: broker.port, flows: [flow] })
      stage.later(() => load.close())
      await other.startReady()
      await load.runFor(seconds * 1000)
      const takeovers = connector.count('session_ready') + other.count('session_ready') - 1
      const named = [...connector.log, ...other.log].filter(
        ({ event, text }) => event === 'session_unavailable' && /taken over|another connector/i.test(text),
      ).length
      await other.end('SIGTERM')
      await load.settle(45_000)
      const report = load.report()
      findings.figure('seconds', seconds)
      findings.figure('takeovers', takeovers)
      findings.figure('takeovers_per_minute', (takeovers * 60) / seconds)
      findings.figure('errors_that_name_the_clash', named)
      findings.figure('requests', report.requests)
      findings.figure('max_ms', report.maxMs)
      findings.figure('duplicate_replies', load.duplicates)
      findings.figure('unanswered', report.unanswered)
      findings.check(takeovers <= 12, `${takeovers} takeovers in ${seconds} s`)
      findings.check(named > 0, 'no error names the clash')
      findings.check(report.unanswered === 0, `${report.unanswered} requests are unanswered`)
      findings.check(report.ok === report.requests, `errors ${JSON.stringify(report.errors)}`)
      findings.check(load.crossed + load.phantom === 0, 'crossed or phantom replies')
      return findings.result
    }),
}

/** Tests a request with the Retain flag. */
export const retainedRequest: Row = {
  name: 'retained-request',
  what: 'the broker has a retained request; the connector reconnects 50 times (--quick: 10) and restarts 5 times',
  criterion: '0 model calls; other requests are answered',
  fullSeconds: 60,
  isTimed: false,
  run: (options) =>
    onStage(async (stage) => {
      const findings = new Findings()
      const broker = await startMosquitto({ isInMemory: true })
      stage.later(() => broker.stop('SIGKILL'))
      const upstream = await ModelServerProcess.start()
      stage.later(() => upstream.end())
      const network = await Proxy.start(broker.port)
      stage.later(() => network.close())
      const client = await TestClient.connect(broker.url)
      stage.later(() => client.close())
      const topic = 'infer/request/cam7/iris/predict'
      await client.publish(topic, '{"instances":[1]}', undefined, true)
      const models = {
        iris: { url: upstream.url, protocolVersion: 'v1' as const },
        other: { url: upstream.url, protocolVersion: 'v1' as const },
      }
      const connector = await ConnectorProcess.create({
        name: 'retained',
        broker: {
          url: `mqtt://127.0.0.1:${network.port}`,
          sessionExpirySeconds: 1,
          reconnect: { minMs: 10, maxMs: 50 },
        },
        models,
      })
      stage.later(() => connector.end())
      let restarts = 0
      for (; restarts < amountOf(options, 5, 2); restarts++) {
        await connector.startReady()
        await connector.end('SIGTERM')
        // Waits until the session has expired, so that the next connection has to subscribe again.
        await pause(1_500)
      }
      await connector.startReady()
      const reconnects = amountOf(options, 50, 10)
      for (let count = 0; count < reconnects; count++) {
        const before = connector.count('session_ready')
        network.reset()
        await until(() => connector.count('session_ready') > before, 10_000, 5)
      }
      await client.subscribe('infer/reply/#')
      const live = await client.ask('infer/request/cam7/other/predict', '{"instances":[2]}')
      const calls = await upstream.calls('iris')
      findings.ran('restarts', restarts, 5)
      findings.ran('reconnects', reconnects, 50)
      findings.figure('calls', calls)
      findings.check(calls === 0, `the model was called ${calls} times`)
      findings.check(
        live.user['status'] === '200',
        `another request was answered with ${live.user['status']}`,
      )
      findings.check(connector.deaths.length === 0, connector.deaths.join('; '))
      return findings.result
    }),
}

/** Kills one of three replicas at a time. */
export const replicas: Row = {
  name: 'replicas',
  what: '3 connectors with a shared subscription on Mosquitto; one at a time is killed (kill -9) and restarted, 100 times (--quick: 6); 150 requests/s',
  criterion: 'every request answered within the session expiry plus the restart time; 0 crossed replies',
  fullSeconds: 180,
  isTimed: false,
  run: (options) =>
    onStage(async (stage) => {
      const { say } = options
      const findings = new Findings()
      const broker = await startMosquitto({ isInMemory: true, config: ['max_queued_messages 0'] })
      stage.later(() => broker.stop('SIGKILL'))
      const upstream = await ModelServerProcess.start()
      stage.later(() => upstream.end())
      const members = await Promise.all(
        [0, 1, 2].map((index) => startMember(stage, index, broker.url, upstream.url)),
      )
      const flow: Flow = {
        name: 'all',
        clients: CLIENTS,
        model: 'slow-20',
        perSecond: 150,
        expirySeconds: 300,
      }
      const load = await FlowLoad.start({ port: broker.port, flows: [flow] })
      stage.later(() => load.close())
      load.begin()
      await until(() => load.answered > 50, 10_000)
      const kills = amountOf(options, 100, 6)
      let slowestMs = 0
      for (let kill = 0; kill < kills; kill++) {
        const victim = members[kill % members.length]!
        await victim.end('SIGKILL')
        slowestMs = Math.max(slowestMs, await victim.startReady())
        if (kill % 10 === 9) say(`${kill + 1} kills, ${load.answered} of ${load.sent} requests answered`)
        await pause(300)
      }
      load.stop()
      await load.settle(20_000)
      const report = load.report()
      const calls = await upstream.calls('slow-20')
      findings.ran('kills', kills, 100)
      findings.figure('requests', report.requests)
      findings.figure('unanswered', report.unanswered)
      findings.figure('errors', JSON.stringify(report.errors))
      findings.figure('extra_calls_per_kill', (calls - report.requests) / kills)
      findings.figure('duplicate_replies_per_kill', load.duplicates / kills)
      findings.figure('restart_max_ms', slowestMs)
      findings.figure('slowest_answer_ms', report.maxMs)
      findings.check(report.unanswered === 0, `${report.unanswered} requests are unanswered`)
      findings.check(load.crossed + load.phantom === 0, 'crossed or phantom replies')
      findings.check(report.ok === report.requests, `errors ${JSON.stringify(report.errors)}`)
      return findings.result
    }),
}

async function startMember(
  stage: Stage,
  index: number,
  url: string,
  upstreamUrl: string,
): Promise<ConnectorProcess> {
  const config: ConfigInput = {
    name: `member-${index}`,
    broker: { url, share: 'group' },
    models: { 'slow-20': { url: upstreamUrl, protocolVersion: 'v1' } },
  }
  const member = await ConnectorProcess.create(config)
  stage.later(() => member.end())
  await member.startReady()
  return member
}
