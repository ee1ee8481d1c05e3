// Target: reads kubeconfig files and returns a client or a KubeError. An error must not show a token.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { KubeApi, KubeError } from '../../../packages/connector/src/discovery/index.ts'
import { bytesOf, claim, joined, shapeOf, tokens, words, type FuzzTarget } from '../target.ts'

// The files are in memory if possible, because each run writes them.
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'inferwire-fuzz-kube-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const files = [join(folder, 'one'), join(folder, 'two')] as const

const CANARY = 'canary-of-the-token'
writeFileSync(join(folder, 'token'), 'another-token')

const CLUSTERS = 'clusters:\n- name: c\n  cluster: { server: "https://api:6443" }\n'
const CONTEXTS =
  'contexts:\n- name: x\n  context: { cluster: c, user: u, namespace: n }\ncurrent-context: x\n'
const USERS = `users:\n- name: u\n  user: { token: ${CANARY} }\n`
const EXEC =
  '{ apiVersion: client.authentication.k8s.io/v1, command: p, args: [a], env: [{ name: A, value: b }] }'

/** Fuzzes the reader of kubeconfigs. Fields: the first file, the second file. */
export const target: FuzzTarget = {
  name: 'kubeconfig',
  seedInputs: [
    joined(CLUSTERS + CONTEXTS + USERS, ''),
    joined(CLUSTERS, CONTEXTS + USERS),
    joined(`${CLUSTERS}${CONTEXTS}users: [{ name: u, user: { exec: ${EXEC} } }]`, USERS),
    joined(`${CLUSTERS}${CONTEXTS}users: [{ name: u, user: { tokenFile: token } }]`, ''),
    joined(
      JSON.stringify({ clusters: [{ name: 'c', cluster: { server: 'http://127.0.0.1:8001/a' } }] }),
      CONTEXTS,
    ),
    joined(
      `${CONTEXTS}${USERS}clusters: [{ name: c, cluster: { server: https://a, proxy-url: http://p } }]`,
      '',
    ),
    joined('a: &a [x, x]\nb: &b [*a, *a]\nusers: [*b, *b]\n', CLUSTERS),
  ],
  dictionary: [
    ...words(
      'clusters: contexts: users: current-context: name: cluster: context: user: server: namespace: token:',
    ),
    ...words(
      'tokenFile: exec: username: password: auth-provider: as: as-groups: proxy-url: tls-server-name:',
    ),
    ...words(
      'certificate-authority: certificate-authority-data: client-certificate-data: client-key: client-key-data:',
    ),
    ...words(
      'insecure-skip-tls-verify: true false null 1 ~ token Always https:// http://localhost @ : ? # [::1] __proto__',
    ),
    ...tokens('\n', '  ', '- ', '{ ', ' }', '[', ']', '&a ', '*a', '\u001b', '\u2028', [0xff], CANARY),
  ],
  run(input) {
    for (const [index, bytes] of bytesOf(input, 2).entries()) writeFileSync(files[index]!, bytes)
    try {
      const api = KubeApi.fromKubeconfig({ env: { KUBECONFIG: files.join(delimiter) } })
      const { protocol, hostname } = new URL(api.server)
      claim(
        protocol === 'https:' || (protocol === 'http:' && /^(localhost|127\.|\[::1\])/.test(hostname)),
        'a token would be sent without TLS',
      )
      return `valid ${protocol} ${api.namespace === undefined}`
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      const { message, remedy, reason } = error
      claim(reason === 'InvalidConfig' || reason === 'NoCredential', `the reason is ${reason}`)
      claim(message !== '' && remedy !== '' && message.length < 1_100, 'an error has no text, or a long one')
      claim(!/[\u0000-\u001f\u007f-\u009f]/.test(message + remedy), 'an error contains control characters')
      const text = input.toString('latin1')
      // The canary may also be a name, and names are shown.
      if (text.includes(`token: ${CANARY} `) && text.indexOf(CANARY) === text.lastIndexOf(CANARY)) {
        claim(!`${message} ${remedy} ${String(error.cause)}`.includes(CANARY), 'an error shows a token')
      }
      return shapeOf(message)
    } finally {
      for (const file of files) rmSync(file, { force: true })
    }
  },
}
