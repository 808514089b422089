// Signs in by SRP with the user name that the workshop makes of an e-mail address, and keeps the session in the
// browser's storage, from which the next page takes the ID token.
const pool = new AmazonCognitoIdentity.CognitoUserPool({
  UserPoolId: _config.cognito.userPoolId,
  ClientId: _config.cognito.userPoolClientId,
});

function signIn(email, password) {
  const name = email.replace("@", "-at-");
  const user = new AmazonCognitoIdentity.CognitoUser({ Username: name, Pool: pool });
  const details = new AmazonCognitoIdentity.AuthenticationDetails({ Username: name, Password: password });
  user.authenticateUser(details, { onSuccess: () => location.assign("ride.html"), onFailure: alert });
}

function idToken() {
  return new Promise((resolve, reject) => {
    pool.getCurrentUser().getSession((error, session) => (error ? reject(error) : resolve(session.getIdToken().getJwtToken())));
  });
}
