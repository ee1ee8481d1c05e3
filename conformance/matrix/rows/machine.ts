// Rows with little memory, and with a wall clock that jumps.
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeMemoryCage } from '../../fixtures/memory-cage.ts'
import { FakeModelServer } from '../../rig/model-server.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { FlowLoad, type Flow } from '../../rig/flow-load.ts'
import { amountOf, Findings, type Row } from '../row.ts'
import { onStage, pause } from '../stage.ts'
import { startWorld } from '../world.ts'

const MIB = 1_048_576
const LIMIT_MIB = 96
const CLIENTS = Array.from({ length: 8 }, (_, index) => `cam-${index}`)
const FAKETIME = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu']
  .map((folder) => `${folder}/faketime/libfaketimeMT.so.1`)
  .find((path) => existsSync(path))

/** Limits the whole process to 96 MiB. */
export const memoryLimit: Row = {
  name: 'memory-limit',
  what: `memory limit of ${LIMIT_MIB} MiB (control group); 20 requests/s with bodies and answers of 2 MB; limits.bytesInFlightMax 12 MiB, limits.duplicates.bytesMax 4 MiB, 3 MiB per body`,
  criterion: '0 OOM kills, 0 exits of the process; 0 unanswered requests; no errors except `overloaded`',
  fullSeconds: 110,
  isTimed: false,
  run: (options) =>
    onStage(async (stage) => {
      const { say } = options
      const seconds = amountOf(options, 90, 8)
      const findings = new Findings()
      const cage = makeMemoryCage(LIMIT_MIB * MIB, `inferwire-matrix-${process.pid}-${Date.now()}`)
      say(
        cage === undefined
          ? 'no control group can be created on this machine: only the memory peak is measured'
          : cage.kind,
      )
      if (cage !== undefined) stage.later(() => cage.remove())
      const { broker, connector } = await startWorld(stage, {
        models: {
          echo: {
            limits: {
              concurrency: 2,
              queueDepthMax: 4,
              requestBytesMax: 3 * MIB,
              responseBytesMax: 3 * MIB,
            },
          },
        },
        config: { limits: { bytesInFlightMax: 12 * MIB, duplicates: { bytesMax: 4 * MIB } } },
        nodeArguments: ['--max-old-space-size=40', '--max-semi-space-size=2'],
        ...(cage === undefined ? {} : { prefix: cage.prefix }),
      })
      const flow: Flow = { name: 'all', clients: CLIENTS, model: 'echo', perSecond: 20, bodyBytes: 2_000_000 }
      const load = await FlowLoad.start({ port: broker.port, flows: [flow] })
      stage.later(() => load.close())
      const beforeMb = connector.memory().rssMb
      await load.runFor(seconds * 1000)
      await load.settle()
      const report = load.report()
      const peakMb = connector.isRunning ? connector.memory().peakMb : 0
      findings.figure(
        'limit',
        cage === undefined ? 'none: no control group' : `${LIMIT_MIB} MiB, ${cage.kind}`,
      )
      findings.ran('seconds', seconds, 90)
      findings.figure('requests', report.requests)
      findings.figure('ok', report.ok)
      findings.figure('errors', JSON.stringify(report.errors))
      findings.figure('rss_before_mb', beforeMb)
      findings.figure('rss_peak_mb', peakMb)
      if (cage !== undefined) findings.figure('cgroup_peak_mib', cage.peakBytes() / MIB)
      findings.figure('oom_kills', cage?.oomKills() ?? 0)
      findings.figure('unanswered', report.unanswered)
      findings.check(
        connector.deaths.length === 0,
        `${connector.deaths.length} exits: ${connector.deaths[0]?.slice(0, 200)}`,
      )
      findings.check((cage?.oomKills() ?? 0) === 0, `${cage?.oomKills()} OOM kills`)
      findings.check(report.unanswered === 0, `${report.unanswered} requests are unanswered`)
      findings.check(report.ok > 0, 'no request was answered with 200')
      const others = Object.keys(report.errors).filter((code) => code !== 'overloaded')
      findings.check(others.length === 0, `errors ${JSON.stringify(report.errors)}`)
      findings.check(cage !== undefined || peakMb < LIMIT_MIB * 1.05, `peak RSS is ${peakMb.toFixed(0)} MB`)
      return findings.result
    }),
}

/** Makes the clock jump an hour forward and back. */
export const clockJump: Row = {
  name: 'clock-jump',
  what: "the connector's wall clock makes 20 jumps (--quick: 6) of an hour, forward and back, at 100 requests/s; a token is replaced at each jump. Uses libfaketime; as in a real clock change, the monotonic clock does not jump",
  criterion:
    'no false timeouts: all requests answered with 200; every new token is used within 2 s; 0 reconnects',
  fullSeconds: 115,
  isTimed: false,
  run: (options) =>
    onStage(async (stage) => {
      const { quick, say } = options
      if (FAKETIME === undefined) throw new Error('libfaketime is missing: sudo apt-get install faketime')
      const findings = new Findings()
      const folder = mkdtempSync(join(tempFolder('clock'), 'files-'))
      const clockFile = join(folder, 'clock')
      const tokenFile = join(folder, 'token')
      writeFileSync(clockFile, '+0\n')
      writeFileSync(tokenFile, 'token-0\n', { mode: 0o600 })
      const guarded = await FakeModelServer.start()
      stage.later(() => guarded.stop())
      const { broker, connector } = await startWorld(stage, {
        models: {
          'slow-100': {},
          guarded: { url: guarded.url, credential: { kind: 'token-file', tokenFile } },
        },
        config: { broker: { keepAliveSeconds: 2 } },
        env: {
          LD_PRELOAD: FAKETIME,
          FAKETIME_TIMESTAMP_FILE: clockFile,
          FAKETIME_NO_CACHE: '1',
          FAKETIME_DONT_FAKE_MONOTONIC: '1',
          DONT_FAKE_MONOTONIC: '1',
          NO_FAKE_STAT: '1',
        },
      })
      const flows: Flow[] = ['slow-100', 'guarded'].map((model) => ({
        name: model,
        clients: CLIENTS,
        model,
        perSecond: 50,
        expirySeconds: 20,
      }))
      const load = await FlowLoad.start({ port: broker.port, flows })
      stage.later(() => load.close())
      load.begin()
      const jumps = amountOf(options, 20, 6)
      const seenJumps: number[] = []
      for (let jump = 1; jump <= jumps; jump++) {
        writeFileSync(clockFile, jump % 2 === 1 ? '+3600\n' : '+0\n')
        writeFileSync(tokenFile, `token-${jump}\n`, { mode: 0o600 })
        await pause(quick ? 2_500 : 5_000)
        const used = guarded.requests.at(-1)?.headers.authorization
        findings.check(
          used === `Bearer token-${jump}`,
          `after jump ${jump}, the token in use is ${String(used)}`,
        )
        seenJumps.push(jump)
      }
      load.stop()
      await load.settle()
      const report = load.report()
      // The hours in the log's timestamps prove that the jumps affected the process.
      const hours = await hoursInLog(
        connector.log.map(({ text }) => text),
        async () => {
          writeFileSync(clockFile, '+3600\n')
          connector.signal('SIGTERM')
          await pause(1_500)
        },
        () => connector.log.map(({ text }) => text),
      )
      say(`hours in the log: ${hours.join(', ')}`)
      findings.ran('jumps', jumps, 20)
      findings.figure('hours_in_log', hours.join(' '))
      findings.figure('requests', report.requests)
      findings.figure('errors', JSON.stringify(report.errors))
      findings.figure('ok_p99_ms', report.okP99Ms)
      findings.figure('unanswered', report.unanswered)
      findings.figure('reconnects', connector.count('session_ready') - 1)
      findings.check(hours.length > 1, 'the clock did not jump')
      findings.check(
        report.ok === report.requests,
        `errors ${JSON.stringify(report.errors)}, ${report.unanswered} unanswered`,
      )
      findings.check(connector.count('session_ready') === 1, 'the connector reconnected')
      return findings.result
    }),
}

async function hoursInLog(
  before: readonly string[],
  act: () => Promise<void>,
  after: () => readonly string[],
): Promise<string[]> {
  await act()
  const hours = [...before, ...after()].map((text) => /"time":"[\d-]+T(\d\d)/.exec(text)?.[1])
  return [...new Set(hours.filter((hour) => hour !== undefined))]
}
