// Judges the addresses in a configuration: of the broker, of model servers, of the Host to send.

/** What is wrong with a broker's URL, as the end of the sentence "expected …"; undefined when nothing is. */
export function brokerUrlMistake(value: string): string | undefined {
  const url = parse(value)
  if (
    url === undefined ||
    !['mqtt:', 'mqtts:', 'ws:', 'wss:'].includes(url.protocol) ||
    url.hostname === ''
  ) {
    return 'a URL such as mqtt://127.0.0.1:1883 (mqtt, mqtts, ws or wss)'
  }
  if (url.username !== '' || url.password !== '') {
    return 'a URL without user name and password: use broker.username and broker.passwordFile'
  }
  const isWebSocket = url.protocol === 'ws:' || url.protocol === 'wss:'
  if (!isWebSocket && url.pathname !== '' && url.pathname !== '/')
    return 'a URL without a path: only ws and wss have one'
  return hasTail(value) ? 'a URL without a query and a fragment' : undefined
}

/** What is wrong with a model server's URL; see `brokerUrlMistake`. */
export function modelUrlMistake(value: string): string | undefined {
  const url = parse(value)
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    return 'a URL such as http://iris.models.svc.cluster.local (http or https), what comes before /v1 or /v2'
  }
  if (url.username !== '' || url.password !== '') {
    return 'a URL without user name and password: use the credential of the model'
  }
  if (/\/v[12]\/models(?:\/|$)/.test(url.pathname)) {
    return 'the URL before /v1/models or /v2/models: the connector adds the rest of the path'
  }
  return hasTail(value) ? 'a URL without a query and a fragment' : undefined
}

/** Whether text can be sent as Host: a name or an address, with or without a port. */
export function isHost(value: string): boolean {
  return /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$/.test(value)
}

function parse(value: string): URL | undefined {
  // The URL parser drops tabs and line breaks and trims; a configuration means what it says.
  return /[\s\u0000-\u001f]/.test(value) || value.length > 2048 || !URL.canParse(value)
    ? undefined
    : new URL(value)
}

// An empty query or fragment leaves no trace in the parsed URL.
function hasTail(value: string): boolean {
  return /[?#]/.test(value)
}
